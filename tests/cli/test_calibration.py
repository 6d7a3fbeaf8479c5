"""Rates of this machine: of each kind of pass that a study has, measured once for each setting."""

from dataclasses import asdict
from pathlib import Path

import pytest

from grads.cli.calibration import CALIBRATION, calibrate, count_requests
from grads.graph.study import StudyGraph
from grads.graph.times import MachineSpeed, Rate
from grads.graph.work import work_of
from grads.runtime.files import read_object
from grads.runtime.runner import Machine, perform
from grads.study.paths import Paths
from grads.study.reading import read_study

ROOT = Path(__file__).parents[2]
PREPARED = ("prepare_general", "prepare_domains", "prepare_model", "probe_tokens")
CELL = {"model": "tiny", "domain": "sums", "arm": "full", "ratio": "1", "seed": "0"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The smoke test, prepared, in the working directory."""
    folder = tmp_path_factory.mktemp("calibration")
    (folder / "config").symlink_to(ROOT / "config")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = read_study("config/smoke.yaml")
        for job in StudyGraph(found).in_order():
            if job.rule in PREPARED:
                perform(job, Machine())
        count_requests(found, "tiny")
        yield found


@pytest.fixture(scope="module")
def speed(study):
    return calibrate(study, "tiny", 4)


def check_rates(speed):
    rates = [speed.training, speed.reading, speed.scoring, speed.prompting, speed.answering, *speed.measuring.values()]
    assert all(rate.batch >= 0 and rate.token > 0 for rate in rates)
    assert min(speed.load, speed.set_up, speed.tasks, speed.prediction) > 0
    assert set(speed.measuring) == {"gradients", "hidden"}


def test_every_kind_of_pass_has_a_rate(speed):
    check_rates(speed)


def test_a_setting_is_measured_once(study, speed):
    path = Paths(study.study).root / CALIBRATION
    before = path.stat().st_mtime_ns
    assert calibrate(study, "tiny", 4) == speed
    assert path.stat().st_mtime_ns == before
    assert list(read_object(path).values()) == [asdict(speed)]
    other = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"engine": "reference"})})
    plain = calibrate(other, "tiny", 4)
    assert len(read_object(path)) == 2
    check_rates(plain)
    # Choices have a rate of their own where the LM head is applied to all of their tokens.
    assert speed.scoring == speed.reading
    assert plain.scoring != plain.reading


def test_every_job_of_a_model_takes_time_by_them(study, speed):
    here = MachineSpeed(0.0, {"tiny": speed})
    for rule, wildcards in StudyGraph(study).calls():
        if rule.startswith(("train", "probe_base", "probe_warm", "evaluate")):
            work = work_of(study, rule, wildcards, lambda _cell: 4)
            assert here.seconds(rule, work) > speed.load, rule
    training = work_of(study, "train", CELL, lambda _cell: 4)
    assert here.seconds("train", training) == pytest.approx(speed.set_up + speed.training.seconds(training.training))
    assert speed.training != Rate()
