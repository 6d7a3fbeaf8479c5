"""Selections as folders: they are read by the datasets library alone, and say how they came about."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import grads
from grads.cli.main import app
from grads.data.records.record import make_record, write_records
from grads.study.grid import cells
from grads.study.paths import Paths
from grads.study.reading import read_study

ROOT = Path(__file__).parents[2]
TYPED = ("--training", "precision=float32", "--training", "learning_rate=0.01", "--training", "adapter.rank=2")


@pytest.fixture
def loaded(tmp_path):
    """Return a function that reads a folder, or one of its configurations, as anybody else would."""
    from datasets import load_dataset

    return lambda folder, *name: load_dataset(str(folder), *name, split="train", cache_dir=str(tmp_path / "cache"))


def header(folder: Path) -> dict:
    """Return what the card's header says."""
    _, head, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert "load_dataset" in text
    return yaml.safe_load(head)


def command(*words, status=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return " ".join(result.output.split())


def test_a_saved_selection_is_read_back_whole(signals, loaded, tmp_path):
    picked = grads.select(signals, "grads", ratio=0.25)
    folder = picked.save(tmp_path / "out")
    assert list(loaded(folder)) == picked.rows()
    scores = loaded(folder, "scores").to_pandas()
    assert scores["id"].tolist() == picked.table["id"].tolist()
    np.testing.assert_array_equal(scores["score"], picked.table["score"])
    kept = scores[scores["kept"]].sort_values("record")
    # Records count from 1, and these count themselves from 0.
    assert (kept["record"] - 1).tolist() == [row["number"] for row in picked.rows()]


def test_the_card_says_what_made_it_and_the_licence_only_if_it_is_given(signals, tmp_path):
    picked = grads.select(signals, "random", count=4)
    head = header(picked.save(tmp_path / "out"))
    assert head["license"] == "unknown"
    said = head["grads"]
    assert (said["method"], said["ratio"], said["seed"]) == ("random", picked.ratio, 0)
    assert (said["kept"], said["eligible"], said["version"]) == (4, 20, grads.__version__)
    # Nobody else's business is where the files lie.
    assert said["source"].startswith("records-")
    assert str(tmp_path) not in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert header(picked.save(tmp_path / "out", license="cc-by-4.0"))["license"] == "cc-by-4.0"


def test_what_others_wrote_is_not_written_over(signals, tmp_path):
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(grads.GradsError, match=r"README\.md is there already"):
        grads.select(signals, "random", count=4).save(tmp_path)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "scores.parquet").exists()


def test_of_arrays_there_are_the_scores_alone(loaded, tmp_path):
    random = np.random.default_rng(0)
    arrays = {"embedding_l2": random.lognormal(size=40), "head_l2": random.lognormal(size=40)}
    picked = grads.select(arrays, "grads_density", ratio=0.25, parameters={"bandwidth": 0.5})
    folder = picked.save(tmp_path / "out")
    assert loaded(folder).to_pandas()["kept"].sum() == 10
    assert header(folder)["grads"]["parameters"] == {"bandwidth": 0.5}
    assert not (folder / "subset.parquet").exists()


@pytest.mark.parametrize("values", [[1, "one"], [{}], [2**70]], ids=["two types", "no keys", "too large"])
def test_what_no_column_can_hold_is_refused_by_name_before_the_work(values, records, tiny_model_folder, tmp_path):
    rows = [row | {"odd": values[number % len(values)]} for number, row in enumerate(records)]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = ("select", "--model", tiny_model_folder, "--data", data, "--out", tmp_path / "subset.jsonl", *TYPED)
    asked += ("--ratio", "0.25", "--method", "random")
    said = command(*asked, "--export", tmp_path / "out", status=2)
    assert "the field 'odd' cannot be a column of Parquet" in said
    assert not (tmp_path / "subset.jsonl").exists()
    command(*asked)


def test_the_command_writes_what_save_writes(signals, records, tiny_model_folder, loaded, tmp_path):
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    asked = ("select", "--model", tiny_model_folder, "--data", data, "--out", tmp_path / "subset.jsonl", *TYPED)
    asked += ("--method", "random", "--count", "4", "--count", "8", "--export", tmp_path / "out")
    command(*asked, "--license", "mit")
    for count in (4, 8):
        picked = grads.select(signals, "random", count=count)
        folder = tmp_path / f"out-{count}"
        assert list(loaded(folder)) == picked.rows()
        assert header(folder)["license"] == "mit"
        assert header(folder)["grads"]["source"] == "train.jsonl"
    # The same command may write again what it wrote, and not what somebody put there.
    command(*asked)
    (tmp_path / "out-4" / "scores.manifest.json").unlink()
    assert "is there already" in command(*asked, status=2)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of which one cell has selected, and its config's path."""
    content = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content | {"study": "mine"}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = read_study(path)
    cell = next(cell for cell in cells(found) if cell.trained and cell.ratio != "1")
    made = [make_record(f"What is {n}?", "", f"It is {n}.", own_id=f"mine-{n}") for n in range(6)]
    write_records(Paths("mine").records(cell.domain, "train"), made)
    ids = sorted(record.id for record in made)
    table = pd.DataFrame(
        {"id": ids, "score": np.arange(6.0)[::-1], "rank": range(1, 7), "kept": [True] * 2 + [False] * 4}
    )
    Paths("mine").selection(cell).parent.mkdir(parents=True)
    table.assign(weight=1.0).to_parquet(Paths("mine").selection(cell), index=False)
    return path, cell, {record.id: record for record in made}, ids


def test_a_cell_of_a_study_is_exported(study, loaded, tmp_path):
    path, cell, made, ids = study
    named = [
        word for name in ("arm", "ratio", "seed", "domain", "model") for word in (f"--{name}", getattr(cell, name))
    ]
    command("export", path, "--out", tmp_path / "out", *named)
    rows = list(loaded(tmp_path / "out"))
    assert {row["id"] for row in rows} == set(ids[:2])
    for row in rows:
        record = made[row["id"]]
        wanted = {"instruction": record.instruction, "output": record.output, "own_id": record.own_id}
        assert row == wanted | {"id": record.id}
    said = header(tmp_path / "out")["grads"]
    assert (said["ratio"], said["seed"], said["kept"], said["eligible"]) == (cell.ratio, cell.seed, 2, 6)
    assert len(loaded(tmp_path / "out", "scores")) == 6


def test_several_cells_and_none_are_one_sentence(study, tmp_path):
    path, cell, _made, _ids = study
    out = ("--out", tmp_path / "out")
    assert "--arm:" in command("export", path, *out, status=2)
    assert "it selects nothing" in command("export", path, *out, "--arm", "untuned", status=2)
    missing = command("export", path, *out, "--arm", "full", "--seed", cell.seed, "--domain", cell.domain, status=2)
    assert "is not there: run the study first" in missing
