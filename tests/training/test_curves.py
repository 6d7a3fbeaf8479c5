"""Curves for TensorBoard: the training curve that the summary has, step by step, of a run that they do not change."""

from pathlib import Path

import pytest

from grads.config.study import Study
from grads.config.training import Training
from grads.graph.needs import check_study
from grads.graph.study import StudyGraph
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.study.reading import read_study
from grads.training.needs import check_curves
from grads.training.trainer import ProgressLines

from .conftest import cell, same, train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scalars():
    """Return a function that reads event files as TensorBoard does: by name, the values by step."""
    pytest.importorskip("tensorboard", reason="tensorboard is in the extra `test`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder: Path) -> dict[str, dict[int, float]]:
        found = EventAccumulator(str(folder))
        found.Reload()
        return {name: {one.step: one.value for one in found.Scalars(name)} for name in found.Tags()["scalars"]}

    return read


def expected(one) -> dict[str, dict[int, float]]:
    curve = read_json(one.summary)["curve"]
    names = ("loss", "grad_norm", "learning_rate")
    return {f"train/{name}": {entry["step"]: pytest.approx(entry[name], rel=1e-6) for entry in curve} for name in names}


def test_event_files_hold_the_training_curve_and_change_nothing(tmp_path, records, tiny_model_folder, scalars):
    plain = cell(tmp_path, records, "plain")
    watched = cell(tmp_path, records, "watched", curves=tmp_path / "curves")
    train(tiny_model_folder, plain, watched)
    found = scalars(watched.curves)
    wanted = expected(watched)
    assert {name: found[name] for name in wanted} == wanted
    assert len(found["train/loss"]) == 25
    assert same(plain, watched)
    assert not list(tmp_path.glob("plain/**/events*"))


def test_a_run_that_goes_on_shows_each_step_once(tmp_path, records, tiny_model_folder, scalars, monkeypatch):
    one = cell(tmp_path, records, curves=tmp_path / "curves")
    step_ended = ProgressLines.on_step_end

    def stopped(self, args, state, control, **keywords):
        if state.global_step == 23:
            raise KeyboardInterrupt
        step_ended(self, args, state, control, **keywords)

    monkeypatch.setattr(ProgressLines, "on_step_end", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model_folder, one)
    monkeypatch.undo()
    train(tiny_model_folder, one)
    assert len(list(one.curves.iterdir())) == 2
    wanted = expected(one)
    found = scalars(one.curves)
    assert {name: found[name] for name in wanted} == wanted


def jobs(study: Study):
    graph = StudyGraph(study)
    (model, domain) = next(iter(study.models)), next(iter(study.domains))
    return [graph.train(model, domain, "full", "1", "0"), graph.train_warm(model, domain, "0")]


def with_curves(study: Study) -> Study:
    return study.model_copy(update={"training": study.training.model_copy(update={"tensorboard": True})})


def test_the_key_is_in_no_jobs_settings(monkeypatch):
    monkeypatch.chdir(ROOT)
    study = read_study("config/smoke.yaml")
    for plain, watched in zip(jobs(study), jobs(with_curves(study)), strict=True):
        assert plain.settings == watched.settings
        assert plain.curves is None
        assert watched.curves == watched.summary.parent / "tensorboard"
    assert "tensorboard" not in Training(tensorboard=True).model_dump()


def test_without_the_package_it_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    study = with_curves(read_study("config/smoke.yaml"))
    monkeypatch.setattr("grads.training.needs.importlib.util.find_spec", lambda name: None)
    with pytest.raises(GradsError, match=r"training\.tensorboard: the package tensorboard is not installed"):
        check_study(study)
    check_curves(Training())
