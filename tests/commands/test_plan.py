from pathlib import Path

import pytest
import yaml

from grads.commands.plan import Work, evaluation_work, selection_work, training_work
from grads.study.load import parse_study, read_study

SMOKE = read_study("config/smoke.yaml")


def test_work_adds_up():
    speed = type("Speed", (), {"forward": 0.5, "probe": 1.0, "train": 2.0, "answer": 10.0, "start": 100.0})
    work = Work(forward=2) + Work(probe=3, train=4) + Work(answers=5, jobs=6)
    assert work == Work(2, 3, 4, 5, 6)
    assert work.seconds(speed) == 1 + 3 + 8 + 50 + 600


def test_one_pass_serves_all_arms():
    # One base pass; for each seed the preliminary epoch and one probe, whatever the number of arms that need them.
    assert selection_work(SMOKE, 1000) == Work(forward=1000, probe=1000, train=1000, jobs=3)
    content = yaml.safe_load(Path("config/smoke.yaml").read_text()) | {"seeds": [0, 1, 2]}
    assert selection_work(parse_study(content), 1000) == Work(forward=1000, probe=3000, train=3000, jobs=7)
    content["arms"] = {name: content["arms"][name] for name in ("untuned", "full", "random")}
    assert selection_work(parse_study(content), 1000) == Work()


def test_training_takes_each_arms_share():
    # full: 2 epochs of 1000 tokens; five arms at 0.5.
    assert training_work(SMOKE, 1000) == Work(train=2000 + 5 * 1000, jobs=6)


def test_every_trained_cell_is_evaluated():
    assert evaluation_work(SMOKE, tests=8, general_tokens=100) == Work(forward=600, answers=48, jobs=6)


def test_a_device_is_measured_once_for_each_setting(tmp_path, monkeypatch, tiny_model_folder):
    from grads.commands import calibration
    from grads.data.records import make_record, write_records
    from grads.study.paths import Paths

    monkeypatch.chdir(tmp_path)
    paths = Paths("smoke")
    paths.model("tiny").parent.mkdir(parents=True)
    paths.model("tiny").symlink_to(tiny_model_folder)
    records = [make_record(f"What is {n}?", "", f"It is {n}.") for n in range(20)]
    write_records(paths.records("sums", "train"), records)
    first = calibration.calibrate(SMOKE, "tiny", "sums")
    assert min(first.forward, first.probe, first.train, first.answer, first.start) > 0
    assert first.adapter_bytes > 10_000
    monkeypatch.setattr(calibration, "_measure", lambda *_: pytest.fail("measured twice"))
    assert calibration.calibrate(SMOKE, "tiny", "sums") == first
    other = SMOKE.model_copy(update={"training": SMOKE.training.model_copy(update={"max_length": 128})})
    with pytest.raises(pytest.fail.Exception):
        calibration.calibrate(other, "tiny", "sums")


def test_plan_needs_the_folder_of_the_workflow(grads, tmp_path, monkeypatch):
    monkeypatch.setattr("grads.commands.plan.checked_study", lambda _: SMOKE)
    monkeypatch.chdir(tmp_path)
    assert "there is no Snakefile" in grads("plan", "mine.yaml", status=2).stderr
