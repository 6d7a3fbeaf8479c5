"""Seconds follow from counts: by rates that were measured, or by a device's numbers."""

from dataclasses import asdict, replace

import pytest

from grads.data.passes import Passes
from grads.graph.times import DeviceSpeed, MachineSpeed, ModelSpeed, Rate, measured, parse_speed
from grads.graph.work import Work, work_of
from grads.models.hardware import find_device
from grads.study.reading import read_study

SPEED = ModelSpeed(
    load=100.0,
    set_up=1000.0,
    tasks=10_000.0,
    training=Rate(1.0, 0.5),
    reading=Rate(2.0, 0.25),
    prediction=3.0,
    scoring=Rate(4.0, 0.125),
    prompting=Rate(5.0, 1.0),
    answering=Rate(6.0, 2.0),
    measuring={"hidden": Rate(7.0, 3.0)},
)
HERE = MachineSpeed(start=0.5, models={"tiny": SPEED})
TWO = Passes(sequences=2, tokens=10, padded=16, batches=2)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (Work(), 0),
        (Work(loads=2), 200),
        (Work(training=TWO, loads=1), 1000 + 2 + 8),
        (Work(training=TWO, loads=3), 1000 + 200 + 2 + 8),
        (Work(measuring=TWO, measures=("hidden",), loads=1), 100 + 14 + 48),
        (Work(reading=TWO, predictions=5), 4 + 4 + 15),
        (Work(scoring=TWO, tasks=3), 10_000 + 8 + 2),
        (Work(prompting=TWO, answering=TWO), 10 + 16 + 12 + 32),
    ],
)
def test_each_kind_of_pass_has_its_rate(work, expected):
    assert HERE.seconds("evaluate", replace(work, model="tiny")) == 0.5 + expected


def test_a_job_without_a_model_takes_its_start():
    assert HERE.seconds("judgements", Work()) == 0.5
    assert HERE.seconds("select", Work()) > 0.5


def test_what_is_stored_comes_back():
    assert parse_speed(asdict(SPEED)) == SPEED
    assert measured(("gradients", "hidden")) == "gradients hidden"


def test_a_device_takes_longer_for_more_and_says_nothing_of_what_it_does_not_know():
    study = read_study("config/smoke.yaml")
    speed = DeviceSpeed(study, find_device("h100-80gb"))
    few = Work(training=TWO, model="tiny", loads=1)
    many = replace(few, training=TWO.times(100_000))
    assert 0 < speed.seconds("train", few) < speed.seconds("train", many)
    for kind in ("measuring", "reading", "scoring", "prompting", "answering"):
        large = replace(few, **{kind: TWO.times(100_000)})
        assert speed.seconds("evaluate", large) > speed.seconds("evaluate", few), kind
    assert speed.seconds("select", Work()) == 0


def test_longer_records_take_longer(tmp_path, monkeypatch):
    study = read_study("config/smoke.yaml")
    # Nothing is prepared there.
    monkeypatch.chdir(tmp_path)
    longer = study.model_copy(update={"training": study.training.model_copy(update={"max_length": 512})})
    cell = {"model": "tiny", "domain": "sums", "arm": "full", "ratio": "1", "seed": "0"}
    short, long = (work_of(one, "train", cell, lambda _: 8).training for one in (study, longer))
    assert long.tokens == pytest.approx(2 * short.tokens, rel=0.05)
    assert long.sequences == short.sequences
