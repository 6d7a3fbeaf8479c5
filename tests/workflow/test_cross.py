"""Models that answer the tests of other domains, for real on a tiny model."""

import json

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow
# Without METEOR, whose WordNet lies in a folder that other runs may touch.
METRICS = ["bleu", "rouge_l", "token_f1", "response_nll"]


@pytest.fixture(scope="module")
def finished(make_workspace):
    workspace = make_workspace()
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    config |= {"study": "cross", "arms": {name: config["arms"][name] for name in ("untuned", "random")}}
    config["evaluation"] |= {"cross_domain": True, "metrics": METRICS}
    config["domains"]["sums"]["language"] = "zh"
    (workspace.folder / "cross.yaml").write_text(yaml.safe_dump(config))
    workspace.results = workspace.folder / "results" / "cross"
    workspace.snakemake(f"{workspace.results}/measurements.parquet".removeprefix(f"{workspace.folder}/"),
                        "--configfile", "cross.yaml")  # fmt: skip
    return workspace


def test_every_domain_is_tested_with_every_model(finished):
    frame = pd.read_parquet(finished.results / "measurements.parquet")
    cross = frame[frame["part"] == "cross"]
    assert set(zip(cross["domain"], cross["task"], cross["arm"], strict=True)) == {
        (domain, other, arm)
        for domain, other in (("sums", "plurals"), ("plurals", "sums"))
        for arm in ("untuned", "random")
    }
    assert set(cross["metric"]) == {*METRICS, "brevity_penalty", "length_ratio", "capped", "new_tokens"}


def test_answers_are_to_the_other_domains_test_and_of_the_tuned_model(finished):
    run = finished.results / "runs/tiny/sums/random/0.5/0"
    lines = (run / "cross/predictions/plurals.jsonl").read_text().splitlines()
    answers = [json.loads(line) for line in lines]
    untuned = finished.results / "runs/tiny/plurals/untuned/0/0/predictions.jsonl"
    plain = [json.loads(line) for line in untuned.read_text().splitlines()]
    assert [row["id"] for row in answers] == [row["id"] for row in plain]
    assert all(a["response_nll"] != b["response_nll"] for a, b in zip(answers, plain, strict=True))


def test_words_are_split_by_the_language_of_what_was_answered(finished):
    runs = finished.results / "runs/tiny"
    signature = {
        (domain, place): json.loads((runs / domain / "random/0.5/0" / place).read_text())["bleu"]["signature"]
        for domain, place in (("sums", "metrics.json"), ("sums", "cross/plurals.json"), ("plurals", "cross/sums.json"))
    }
    assert [key for key, text in signature.items() if "tok:zh" in text] == [
        ("sums", "metrics.json"), ("plurals", "cross/sums.json"),
    ]  # fmt: skip


def test_nothing_is_left_to_do_and_switching_it_on_answers_nothing_again(finished):
    assert finished.planned("--configfile", "cross.yaml", "--", "results/cross/measurements.parquet") == {}
    text = (finished.folder / "cross.yaml").read_text().replace("cross_domain: true", "cross_domain: false")
    (finished.folder / "off.yaml").write_text(text)
    planned = finished.planned("--configfile", "off.yaml", "--", "results/cross/measurements.parquet")
    assert set(planned) == {"measurements"}
