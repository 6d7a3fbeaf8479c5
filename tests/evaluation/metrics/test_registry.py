"""A metric is one file: the registry finds it, and a study that asks for what is not there is refused."""

import sys
import types
from pathlib import Path

import pytest

from grads.config.evaluation import Evaluation
from grads.config.yaml_file import read_yaml
from grads.evaluation.metrics.contract import LANGUAGES, Metric, Setting
from grads.evaluation.metrics.registry import REGISTRY, check_metrics, computed, find_metric, metrics, module_of
from grads.runtime.errors import GradsError
from grads.study.reading import parse_study


def test_all_files_are_found():
    known = {"bleu", "chrf", "exact_match", "meteor", "response_nll", "rouge_l", "token_f1"}
    assert set(metrics()) == {*known, "verdict"}
    assert set(computed(metrics())) == known
    assert set(Evaluation.model_fields["metrics"].default) <= set(metrics())
    assert module_of("rouge_l") == "grads.evaluation.metrics.rouge_l"
    with pytest.raises(GradsError, match="no metric 'rouge': did you mean 'rouge_l'"):
        find_metric("rouge")


def test_titles_have_their_direction_and_are_told_apart():
    arrows = {name: metric.arrow for name, metric in metrics().items()}
    assert arrows["bleu"] == "BLEU ↑"
    assert arrows["response_nll"] == "NLL ↓"
    assert len(set(arrows.values())) == len(arrows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_metric_reads_every_language_and_says_its_settings(several, wordnet_folder, language):
    for name in computed(metrics()):
        metric = find_metric(name)
        setting = Setting(language, wordnet_folder if metric.needs_wordnet(language) else None)
        found = metric.compute(several, setting)
        assert found["n"] == len(found["items"]) == len(several)
        assert ("signature" in found) == (name != "response_nll")


@pytest.mark.parametrize("name", ["bleu", "chrf", "exact_match", "meteor", "rouge_l", "token_f1"])
def test_a_better_answer_has_a_value_that_counts_as_better(name, wordnet_folder):
    reference = "a document stating rights and duties of the parties"
    setting = Setting("en", wordnet_folder)
    good, bad = (
        find_metric(name).compute([{"reference": reference, "prediction": text}], setting)["value"]
        for text in (reference, "rock")
    )
    assert (good > bad) == find_metric(name).higher_is_better
    # What is printed with two decimals runs from 0 to 100, the others from 0 to 1.
    assert good == pytest.approx(100 if find_metric(name).decimals == 2 else 1, rel=1e-3)


def test_the_page_has_every_metric_and_its_signature(rows, wordnet_folder):
    page = Path("docs/metrics.md").read_text(encoding="utf-8")
    for name, metric in metrics().items():
        assert f"| `{name}` |" in page
        judged = [row | dict.fromkeys(metric.fields, 0.5) for row in rows]
        signature = metric.compute(judged, Setting("en", wordnet_folder)).get("signature", "")
        assert f"    {name:13}{signature}\n" in page or not signature


def changed(metrics_, wordnet=True, language="en", **evaluation):
    config = read_yaml("config/smoke.yaml")
    config["evaluation"] |= {"metrics": metrics_} | evaluation
    for domain in config["domains"].values():
        domain["language"] = language
    if not wordnet:
        config["evaluation"]["wordnet"] = None
    return parse_study(config)


@pytest.mark.parametrize(
    ("study", "sentence"),
    [
        ((["bleu", "blue"],), "'evaluation.metrics.1': there is no metric 'blue': did you mean 'bleu'"),
        ((["bleu", "chrf", "bleu"],), "'evaluation.metrics.2': 'bleu' is listed twice"),
        ((["meteor"], False), "metric 'meteor' needs 'evaluation.wordnet' for domain '(sums|plurals)'"),
    ],
)
def test_what_is_not_there_is_refused(study, sentence):
    with pytest.raises(GradsError, match=sentence):
        check_metrics(changed(*study))


def test_verdicts_and_their_metric_are_asked_for_together():
    with pytest.raises(GradsError, match=r"'verdict' needs 'evaluation\.verdicts'"):
        check_metrics(changed(["bleu", "verdict"]))
    with pytest.raises(GradsError, match=r"'evaluation\.verdicts' is read for .*: add it to 'evaluation\.metrics'"):
        check_metrics(changed(["bleu"], verdicts="judged.jsonl"))
    check_metrics(changed(["verdict", "bleu"], verdicts="judged.jsonl", cross_domain=True))
    check_metrics(changed(["verdict"], verdicts={"path": "judged.csv", "worst": 10, "best": 1}))
    with pytest.raises(GradsError, match=r"'evaluation\.cross_domain': .*: add a metric"):
        check_metrics(changed(["verdict"], verdicts="judged.jsonl", cross_domain=True))


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ({"path": "a.jsonl", "worst": 2, "best": 2}, r"evaluation\.verdicts.*'worst' and 'best' are both 2"),
        ({"path": "a.jsonl", "worts": 2}, r"'evaluation\.verdicts\.worts'.*did you mean 'worst'"),
        ({"worst": 0}, r"'evaluation\.verdicts\.path'"),
        (3, r"'evaluation\.verdicts'"),
    ],
)
def test_wrong_settings_of_verdicts_are_named(verdicts, sentence):
    with pytest.raises(GradsError, match=sentence):
        changed(["verdict"], verdicts=verdicts)


def test_chinese_meteor_needs_no_wordnet():
    check_metrics(changed(["meteor", "rouge_l"], wordnet=False, language="zh"))


def test_a_file_without_metric_and_a_name_twice_are_noticed(monkeypatch):
    for name in ("one", "two", "none"):
        module = types.ModuleType(f"invented_{name}")
        if name != "none":
            module.METRIC = Metric(
                name="same",
                title="Same",
                decimals=2,
                higher_is_better=True,
                source="",
                compute=lambda rows, setting: {},
            )
        monkeypatch.setitem(sys.modules, module.__name__, module)
    assert set(REGISTRY.collect(["invented_one"])) == {"same"}
    with pytest.raises(GradsError, match="both declare the metric 'same'"):
        REGISTRY.collect(["invented_one", "invented_two"])
    with pytest.raises(GradsError, match="declares no METRIC"):
        REGISTRY.collect(["invented_none"])
