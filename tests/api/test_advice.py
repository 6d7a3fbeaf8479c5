"""What finished studies say of forgetting, on measurements whose answer is known."""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from grads.api.advice import ABOVE, BELOW, ITEMS_ONLY, UNDECIDED, advice_lines, advise
from grads.cli.main import app
from grads.config.study import Study
from grads.report.building.forgetting import forgetting_table
from grads.report.measurements import COLUMNS, read_measurements, write_measurements
from grads.report.statistics.estimates import Estimates
from grads.runtime.errors import GradsError
from grads.runtime.files import write_text
from grads.runtime.manifest import write_manifests
from grads.study.grid import Cell, cells
from grads.study.reading import parse_study

ITEMS = 1000
FILE = {"kind": "file", "path": "x.jsonl"}
LOST = {"untuned": 0.0, "full": 0.1, "few": 0.0, "slow": 0.01, "mixed": 0.002}
"""Share of the benchmark's items that a run has wrong and the untuned model has right, the same for all seeds."""
GAINED = {"untuned": 0.0, "full": 1.0, "few": 0.2, "slow": 0.5, "mixed": 0.6}
"""Nats by which the answers of a run are likelier."""


def config(**changes: Any) -> dict[str, Any]:
    """A study of one model and domain with a run of each kind."""
    content = {
        "study": "old",
        "label": "Made up.",
        "seeds": [0, 1, 2],
        "models": {"tiny": {"title": "Tiny", "source": {"kind": "tiny"}}},
        "domains": {"law": {"title": "Law", "source": FILE}},
        "splits": {"train": 20, "validation": 2, "test": 6},
        "arms": {
            "untuned": {"method": "untuned"},
            "full": {"method": "full"},
            "few": {"method": "random", "ratios": ["0.05"]},
            "slow": {"method": "full", "strategy": "low_lr", "strategy_parameters": {"factor": 0.5}},
            "mixed": {"method": "full", "strategy": "replay", "strategy_parameters": {"ratio": "1:1"}},
        },
        "training": {"learning_rate": 4.0e-4},
        "evaluation": {"metrics": ["response_nll"]},
        "general": {
            "tasks": {"quiz": {"title": "Quiz", "yaml": "q.yaml", "data": FILE, "sample": ITEMS, "chance": 0.25}},
            "text": {"source": FILE},
            "instructions": {"source": FILE, "replay": 20},
        },
    }
    return content | changes


def rows_of(study: Study, cell: Cell) -> list[dict[str, Any]]:
    """Return the rows of the long table that a cell has, as `measurements` writes them."""
    right = np.ones(ITEMS)
    right[: round(LOST[cell.arm] * ITEMS)] = 0
    losses = 2 - GAINED[cell.arm] + 0.1 * np.random.default_rng(cell.seed).normal(size=50)
    drift = LOST[cell.arm] * (1 + np.arange(8) / 8)
    measured = [("general", "quiz", "acc", right), ("domain", "test", "response_nll", losses)]
    measured += [("general", "text", name, drift) for name in ("kl", "nll", "bits_per_byte")]
    names = {name: getattr(cell, name) for name in ("model", "domain", "arm", "ratio", "seed")}
    rows = []
    for part, task, metric, items in measured:
        place = {"part": part, "task": task, "metric": metric, "value": items.mean(), "n": len(items)}
        place |= {"statistic": "mean", "items": items[:, None].tolist(), "signature": "1a"}
        rows.append(place)
    if cell.trained:
        counted = {"part": "cost", "task": "training", "metric": "records", "value": 20 * float(cell.ratio)}
        rows.append(counted | {"n": 0, "statistic": "", "items": [], "signature": ""})
    bounds = {"low": math.nan, "high": math.nan, "interval": "none", "item_groups": []}
    return [{"study": study.study, **names, **bounds, **row} for row in rows]


@pytest.fixture
def finish(tmp_path):
    """Return a function that writes the measurements of a study as its run does, and returns their folder."""

    def write(content: dict[str, Any]) -> Path:
        study = parse_study(content)
        folder = tmp_path / "results" / study.study
        folder.mkdir(parents=True)
        rows = [row for cell in cells(study) for row in rows_of(study, cell)]
        write_measurements(pd.DataFrame(rows, columns=list(COLUMNS)), folder / "measurements.parquet")
        settings = {"study": json.dumps(study.model_dump(mode="json", exclude_unset=True))}
        write_manifests([folder / "measurements.parquet"], {}, settings, time.time())
        return folder

    return write


@pytest.fixture
def planned() -> Study:
    """The study that somebody plans: other arms, and another rate."""
    arms = {"untuned": {"method": "untuned"}, "full": {"method": "full"}}
    return parse_study(config(study="new", arms=arms, training={"learning_rate": 1.0e-4}))


def test_each_run_is_held_against_the_bound_by_what_is_known_of_it(finish, planned):
    folder = finish(config())
    (place,) = advise(planned, [folder.parent], bound=1.0).places
    found = {one.run: one for one in place.runs}
    assert {run: one.verdict for run, one in found.items()} == {
        "full": ABOVE,
        "few@0.05": BELOW,
        "slow": UNDECIDED,
        "mixed": BELOW,
    }
    assert [one.run for one in place.below] == ["mixed", "few@0.05"], "what learnt most comes first"
    for run, one in found.items():
        assert one.forgotten.value == pytest.approx(100 * LOST[run.split("@")[0]])
        assert one.learnt.value == pytest.approx(GAINED[run.split("@")[0]], abs=0.05)
        assert one.forgotten.low < one.forgotten.value < one.forgotten.high, "no interval has zero width"
        assert one.seeds == 3
    assert {run: (one.keeps, one.mix, one.rate, one.records) for run, one in found.items()} == {
        "full": ("1", "", 4.0e-4, 20),
        "few@0.05": ("0.05", "", 4.0e-4, 1),
        "slow": ("1", "", 2.0e-4, 20),
        "mixed": ("1", "1:1", 4.0e-4, 20),
    }
    assert found["slow"].otherwise == {"learning_rate": "0.0002 for 0.0001"}


def test_a_bound_that_is_wide_enough_lets_all_pass_and_a_narrow_one_none(finish, planned):
    folder = finish(config())
    wide, narrow = (advise(planned, [folder], bound=bound).places[0] for bound in (50.0, 0.01))
    assert len(wide.below) == 4
    assert narrow.below == []


def test_the_intervals_are_those_of_the_table_at_the_level_of_the_family(finish, planned):
    content = config()
    content["arms"] = {arm: content["arms"][arm] for arm in ("untuned", "full")}
    folder = finish(content)
    (one,) = advise(planned, [folder]).places[0].runs
    table = forgetting_table(parse_study(content), Estimates(read_measurements(folder / "measurements.parquet")))
    row = table.tidy[(table.tidy["arm"] == "full") & (table.tidy["task"] == "quiz")].iloc[0]
    # Of a single run the family's level is 5 %.
    assert dataclasses.astuple(one.forgotten) == pytest.approx(
        (-100 * row["change"], -100 * row["change_high"], -100 * row["change_low"])
    )


def test_more_runs_make_each_interval_wider(finish, planned):
    content = config()
    folder = finish(content)
    alone = finish(content | {"study": "alone", "arms": {arm: content["arms"][arm] for arm in ("untuned", "full")}})
    widths = [
        next(one for one in advise(planned, [path]).places[0].runs if one.run == "full").forgotten
        for path in (alone, folder)
    ]
    assert widths[0].high < widths[1].high


def test_with_one_seed_nothing_is_known(finish, planned):
    folder = finish(config(seeds=[0]))
    found = advise(planned, [folder], bound=50.0)
    assert {one.verdict for one in found.places[0].runs} == {ITEMS_ONLY}
    assert found.places[0].below == []
    assert "Nothing is known" in "\n".join(advice_lines(found))


def test_a_drift_asks_for_a_bound_of_its_own(finish, planned):
    folder = finish(config())
    with pytest.raises(GradsError, match="--bound: kl has no usual one"):
        advise(planned, [folder], measure="kl")
    found = {one.run: one for one in advise(planned, [folder], measure="kl", bound=0.05).places[0].runs}
    assert found["full"].forgotten.value == pytest.approx(0.1 * (1 + np.arange(8) / 8).mean())
    assert (found["full"].verdict, found["few@0.05"].verdict) == (ABOVE, BELOW)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"models": {"tiny": {"title": "Other", "source": {"kind": "tiny", "seed": 1}}}}, "other models"),
        ({"domains": {"law": {"title": "Law", "source": {"kind": "file", "path": "y.jsonl"}}}}, "other domains"),
        ({"general": config()["general"] | {"tasks": {}}}, "does not measure Quiz"),
    ],
)
def test_a_study_of_another_kind_says_nothing(finish, planned, changes, reason):
    folder = finish(config(**changes))
    found = advise(planned, [folder])
    assert found.places[0].runs == []
    assert reason in found.passed_over[str(folder)]
    assert "Nothing is known" in "\n".join(advice_lines(found))


def test_keys_and_titles_do_not_matter_and_contents_do(finish, planned, tmp_path):
    other = config()
    other["models"] = {"small": {"title": "The same", "source": {"kind": "tiny"}}}
    other["domains"] = {"acts": {"title": "The same", "source": FILE}}
    other["general"]["tasks"] = {"exam": other["general"]["tasks"]["quiz"] | {"title": "The same"}}

    # The synthetic rows are of the task's own key.
    folder = finish(other)
    frame = read_measurements(folder / "measurements.parquet")
    write_measurements(frame.replace({"task": {"quiz": "exam"}}), folder / "measurements.parquet")
    settings = json.loads((folder / "measurements.manifest.json").read_text("utf-8"))["settings"]
    write_manifests([folder / "measurements.parquet"], {}, settings, time.time())
    assert len(advise(planned, [folder]).places[0].below) == 2

    own = tmp_path / "x.jsonl"
    named = {"law": {"title": "Law", "source": {"kind": "file", "path": str(own)}}}
    write_text(own, "then\n")
    folder = finish(config(study="changed", domains=named))
    train = folder / "data" / "law" / "train.parquet"
    train.parent.mkdir(parents=True)
    train.touch()
    write_manifests([train], [own], {}, time.time())
    asked = planned.model_copy(update={"domains": parse_study(config(domains=named)).domains})
    assert len(advise(asked, [folder]).places[0].runs) == 4
    write_text(own, "another file now\n")
    assert advise(asked, [folder]).places[0].runs == []


def test_folders_without_a_finished_study_are_no_mistake_and_say_so(planned, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "results" / "begun" / "runs").mkdir(parents=True)
    found = advise(planned, [tmp_path / "empty", tmp_path / "results"])
    assert found.places[0].runs == []
    assert "not finished" in found.passed_over[str(tmp_path / "results" / "begun")]
    with pytest.raises(GradsError, match=r"--results .*nowhere is not there"):
        advise(planned, [tmp_path / "nowhere"])


def test_measurements_without_a_manifest_and_damaged_ones_are_passed_over_by_name(finish, planned):
    folder = finish(config())
    manifest = folder / "measurements.manifest.json"
    kept = manifest.read_bytes()
    manifest.unlink()
    assert "no manifest" in advise(planned, [folder]).passed_over[str(folder)]
    manifest.write_bytes(kept)
    with (folder / "measurements.parquet").open("ab") as file:
        file.write(b"x")
    assert "measurements.parquet has " in advise(planned, [folder]).passed_over[str(folder)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"measure": "quizz"}, "--measure quizz: did you mean 'quiz'"),
        ({"bound": 0.0}, "--bound 0: give a number above 0"),
        ({"bound": math.inf}, "--bound inf"),
    ],
)
def test_a_mistake_is_one_sentence(planned, tmp_path, arguments, words):
    with pytest.raises(GradsError, match=words):
        advise(planned, [tmp_path], **arguments)


def test_the_command_prints_and_writes_what_is_known(finish, tmp_path, monkeypatch):
    finish(config())
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(config(study="new")), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["advise", "mine.yaml", "--out", "advice.json"])
    assert result.exit_code == 0, result.output
    said = result.stdout
    assert "Kept forgetting below 1 point," in said
    below = said.partition("those that learnt most first")[2]
    assert below.index("mix 1:1") < below.index("ratio 0.05")
    written = json.loads((tmp_path / "advice.json").read_text("utf-8"))
    assert {one["run"]: one["verdict"] for one in written["places"][0]["runs"]}["full"] == ABOVE
    missing = CliRunner().invoke(app, ["advise", "nowhere.yaml"])
    assert missing.exit_code == 2
