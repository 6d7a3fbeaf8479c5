"""What methods read in addition to signals, where the data are one file."""

import gzip
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from grads.selection.contract import Choice, Method, Needs
from grads.selection.registry import REGISTRY
from grads.signals.store import read_store

from .conftest import rows


def reading(texts):
    """Return a method that chooses by a field of the records."""
    return Method(
        name="reading",
        title="Reading",
        source="a test",
        select=lambda inputs, _: Choice(inputs.texts["train"]["number"].to_numpy()),
        needs=lambda _: Needs(texts=frozenset(texts)),
    )


@pytest.fixture
def registered(monkeypatch):
    """Put a method into the registry."""

    def put(method):
        known = REGISTRY.found | {method.name: (method, "grads.selection.methods.random")}
        monkeypatch.setattr(REGISTRY, "found", known)

    return put


def test_a_method_reads_the_fields_that_are_named(on_data, registered, tmp_path):
    registered(reading(["train"]))
    asked = ("select", "subset.jsonl", "--ratio", "0.1", "--method", "reading")
    on_data(*asked, "--metadata", "number")
    assert [row["number"] for row in rows(tmp_path / "subset.jsonl")] == [18, 19]
    found = on_data(*asked, "--metadata", "source", status=2).output
    assert "--metadata source: every record has such a field of its own: remove it" in " ".join(found.split())


def test_texts_that_one_file_has_not_are_refused_before_any_work(on_data, registered, tmp_path):
    registered(reading(["validation"]))
    found = on_data("select", "subset.jsonl", "--ratio", "0.1", "--method", "reading", status=2).output
    assert "reads validation records, which are not given: add --validation FILE" in " ".join(found.split())
    assert not (tmp_path / "grads-work").exists()


def test_a_subset_is_taken_from_a_file_and_again_when_the_file_changes(on_data, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ("select", "subset.jsonl", "--ratio", "auto", "--method", "subset", "--parameter", "file=mine.jsonl")
    found = on_data(*asked, status=2).output
    assert "--parameter: mine.jsonl is no file: name one" in " ".join(found.split())
    all_rows = rows(data)
    for chosen in (all_rows[3:5], all_rows[:1]):
        (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
        on_data(*asked)
        assert rows(tmp_path / "subset.jsonl") == chosen


def test_a_trajectory_is_made_once_for_its_settings(on_data, registered, tmp_path):
    method = Method(
        name="reading",
        title="Reading",
        source="a test",
        select=lambda inputs, _: Choice(np.asarray(inputs.features["trajectory"]["losses"])[:, -1]),
        needs=lambda _: Needs({"trajectory": frozenset({"losses"})}),
    )
    registered(method)
    asked = ("--method", "reading", "--probe", "trajectory.epochs=1", "--probe", "trajectory.checkpoints=2")
    for name, ratio in (("one", "0.1"), ("two", "0.5")):
        on_data("select", f"{name}.jsonl", "--ratio", ratio, *asked)
    assert [len(rows(tmp_path / f"{name}.jsonl")) for name in ("one", "two")] == [2, 10]
    (store,) = (path / "store" for path in (tmp_path / "grads-work").glob("trajectory-*") if path.is_dir())
    assert read_store(store).features["losses"].shape == (20, 2)


def test_one_preliminary_epoch_serves_whatever_the_micro_batch_is(on_data, tmp_path):
    for name, size in (("one", 4), ("two", 2)):
        on_data("select", f"{name}.jsonl", "--ratio", "0.1", "--micro-batch", size)
    (made,) = (path for path in (tmp_path / "grads-work").glob("preliminary-*") if path.is_dir())
    assert json.loads((made / "training.json").read_text(encoding="utf-8"))["micro_batch"] == 4


def test_a_model_is_known_by_its_content_and_a_damaged_part_is_refused(grads, data, tiny_model_folder, tmp_path):
    """What only looks newer is not prepared again; what was overwritten in place, dated as it was, is."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model_folder, model)

    def select(out, **keywords):
        files = ("--model", model, "--data", data, "--out", tmp_path / out)
        return grads("select", *files, "--ratio", "0.5", "--method", "random", **keywords)

    def prepared():
        return [path for path in (tmp_path / "grads-work").glob("tokenizer-*") if path.is_dir()]

    select("a.jsonl")
    (first,) = prepared()
    weights = model / "model.safetensors"
    os.utime(weights)
    select("b.jsonl")
    assert prepared() == [first]
    times, content = weights.stat(), bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    select("c.jsonl")
    assert len(prepared()) == 2
    (second,) = set(prepared()) - {first}
    (second / "model" / "tokenizer.json").write_text("{}")
    said = select("d.jsonl", status=2).output
    assert f"{second}/model/tokenizer.json has 2 bytes" in said
    assert f"delete {second}/model and run again" in said
    # What has lost its manifest is made again.
    shutil.rmtree(second)
    select("e.jsonl")
    (second / "model.manifest.json").unlink()
    assert "it is made again" in select("f.jsonl").output


CALL = [{"function": {"name": "square"}}]


@pytest.fixture
def called(data):
    """Write the twenty records with ids of their own, two of them with a call of a tool; return their file."""
    kept = [row | {"id": f"mine-{number}"} for number, row in enumerate(rows(data))]
    for row in kept[:2]:
        turns = [{"role": "user", "content": row.pop("instruction")}]
        row["messages"] = [*turns, {"role": "assistant", "content": row.pop("output"), "tool_calls": CALL}]
    data.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return data


def test_what_changes_a_rows_meaning_is_left_by_name_only(on_data, called, tmp_path):
    asked = ("select", "subset.jsonl", "--ratio", "0.5", "--method", "random")
    found = " ".join(on_data(*asked, status=2).output.split())
    assert "train.jsonl:1: turn 2 of 'messages' has 'tool_calls'" in found
    assert "--leave" in found
    on_data(*asked, "--leave", "tool_calls")
    assert len(rows(tmp_path / "subset.jsonl")) == 10
    manifest = json.loads((tmp_path / "subset.manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["leave"] == ["tool_calls"]


@pytest.fixture
def answered(grads, data, tiny_model_folder, tmp_path):
    """Answer the records with the tiny model; return what is written of each."""

    def call(*options):
        files = ("--model", tiny_model_folder, "--data", data, "--out", tmp_path / "said.jsonl")
        grads("evaluate", *files, "--max-new-tokens", "2", *options)
        return rows(tmp_path / "said.jsonl")

    return call


def test_ids_of_the_data_go_with_their_records(on_data, answered, called, tmp_path):
    on_data("select", "subset.jsonl", "--ratio", "0.5", "--method", "random", "--leave", "tool_calls")
    scores = pd.read_csv(tmp_path / "subset.scores.csv")
    assert scores.columns[:4].tolist() == ["record", "id", "own_id", "score"]
    own = [row["id"] for row in rows(called)]
    assert scores["own_id"].tolist() == [own[record - 1] for record in scores["record"]]
    assert {row["id"] for row in rows(tmp_path / "subset.jsonl")} == set(scores.loc[scores["kept"], "own_id"])
    assert [row["own_id"] for row in answered("--leave", "tool_calls")] == scores["own_id"].tolist()


def test_without_ids_of_the_data_nothing_is_added(on_data, answered, tmp_path):
    on_data("select", "subset.jsonl", "--ratio", "0.5", "--method", "random")
    header = (tmp_path / "subset.scores.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "record,id,score,rank,kept,weight"
    assert not any("own_id" in row for row in answered())


def test_a_folder_of_shards_selects_what_one_file_does(on_data, grads, data, tiny_model_folder, tmp_path):
    asked = ("--ratio", "0.5", "--method", "random")
    on_data("select", "one.jsonl", *asked)
    folder = tmp_path / "shards"
    folder.mkdir()
    lines = data.read_bytes().splitlines(keepends=True)
    (folder / "train-00000-of-00002.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[:9])))
    (folder / "train-00001-of-00002.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[9:])))
    files = ("--model", tiny_model_folder, "--data", folder, "--out", tmp_path / "two.jsonl")
    grads("select", *files, *asked)
    assert rows(tmp_path / "two.jsonl") == rows(tmp_path / "one.jsonl")
    (folder / "train-00000-of-00002.jsonl.gz").unlink()
    found = " ".join(grads("select", *files, *asked, status=2).output.split())
    assert f"--data {folder} is a folder that" in found
    assert "lacks 1 of its 2 files (00000-of-00002)" in found
