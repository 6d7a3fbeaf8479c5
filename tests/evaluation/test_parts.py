"""Parts of an evaluation that are kept: used again only where all that shaped them is the same."""

import dataclasses

import pytest

from grads.evaluation.parts import Parts
from grads.evaluation.run import evaluate_cells
from grads.runtime.files import read_json, read_jsonl

from .test_run import cell, settings  # noqa: F401 - fixtures


@pytest.fixture
def made():
    return []


def ask(parts, made, key, name="piqa", content=None):
    return parts.part(name, key, lambda: made.append(key) or content or {"value": len(made)}).content


def test_a_part_is_made_once_for_each_key(tmp_path, made):
    parts = Parts(tmp_path / "finished")
    assert ask(parts, made, {"a": 1}) == ask(parts, made, {"a": 1}) == {"value": 1}
    assert parts.has("piqa", {"a": 1})
    assert not parts.has("piqa", {"a": 2})
    assert ask(parts, made, {"a": 2}) == {"value": 2}
    assert ask(parts, made, {"a": 1}) == {"value": 3}


@pytest.mark.parametrize("damage", ["", "{}", '{"key": 1}', "x", '{"content": {"value": 9}}'])
def test_a_damaged_part_is_made_again(tmp_path, made, damage, capfd):
    parts = Parts(tmp_path)
    ask(parts, made, {"a": 1})
    (tmp_path / "piqa.json").write_text(damage)
    assert ask(parts, made, {"a": 1}) == {"value": 2}
    assert "is damaged: it is measured again" in capfd.readouterr().err


def test_an_edited_part_is_made_again(tmp_path, made):
    parts = Parts(tmp_path)
    ask(parts, made, {"a": 1})
    path = tmp_path / "piqa.json"
    path.write_text(path.read_text().replace('"value": 1', '"value": 7'))
    assert ask(parts, made, {"a": 1}) == {"value": 2}


def test_without_a_folder_nothing_is_kept(made):
    parts = Parts(None)
    assert ask(parts, made, {}) != ask(parts, made, {})
    assert not parts.has("piqa", {})


def test_another_benchmark_does_not_measure_the_others_again(
    tiny_model_folder,
    make_adapter,
    cell,  # noqa: F811
    settings,  # noqa: F811
    task_file,
    tmp_path,
    capfd,
):
    kept = dataclasses.replace(settings, finished=tmp_path / "finished")
    adapter = make_adapter(0.3)
    first = cell("first", adapter)
    evaluate_cells(tiny_model_folder, [first], kept)
    capfd.readouterr()
    siqa = dataclasses.replace(settings.tasks["piqa"], yaml=task_file("siqa"))
    more = dataclasses.replace(kept, tasks={**settings.tasks, "siqa": siqa})
    second = cell("second", adapter)
    evaluate_cells(tiny_model_folder, [second], more)
    said = capfd.readouterr().err
    for part in ("answers-", "piqa", "text"):
        assert f"{part}" in said
    assert said.count("measured before") == 3
    assert "siqa: 72/72" in said
    one, other = (read_json(evaluated.general) for evaluated in (first, second))
    assert one["tasks"]["piqa"] == other["tasks"]["piqa"]
    assert one["drift"] == other["drift"]
    assert other["seconds"] > one["seconds"]
    assert read_jsonl(first.predictions) == read_jsonl(second.predictions)
    # Nothing kept is used for another model.
    untuned = cell("untuned", None)
    evaluate_cells(tiny_model_folder, [untuned], more)
    assert "measured before" not in capfd.readouterr().err
    assert read_json(untuned.general)["drift"]["kl"] == 0
