"""Losses along a training run: when they are taken, of which weights, and how exactly they are kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from grads.config.models import Format
from grads.config.probe import Probe, Trajectory
from grads.config.training import Adapter, Training
from grads.data.records.formatting import Example, Formatter
from grads.data.records.record import load_records, make_record, write_records
from grads.models.load import load_model, load_tokenizer
from grads.probing.measure import measure
from grads.probing.trajectory import TrajectoryLosses, checkpoint_steps
from grads.runtime.errors import GradsError
from grads.runtime.journal import Journal
from grads.signals.store import Store, read_store, write_store
from grads.training import run as module
from grads.training.run import TrainingCell, train_cells

TRAINING = Training(
    global_batch=4, learning_rate=1.0e-2, max_length=256, precision="float32", adapter=Adapter(rank=2, dropout=0.2)
)
EPOCHS, CHECKPOINTS, RECORDS = 2, 5, 50
PROBE = Probe(token_budget=300, precision="float32", trajectory=Trajectory(checkpoints=CHECKPOINTS, epochs=EPOCHS))


@given(st.integers(1, 300), st.integers(1, 60))
def test_checkpoints_are_even_and_end_with_the_run(steps: int, checkpoints: int) -> None:
    found = checkpoint_steps(steps, checkpoints)
    assert found[-1] == steps
    assert len(found) == min(steps, checkpoints)
    gaps = np.diff([0, *found])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1 + (checkpoints > steps)


def cell(folder: Path, **changes: Any) -> TrainingCell:
    path = folder.parent / "train.parquet"
    write_records(path, [make_record(f"Define the term {i}.", "", f"meaning number {i}") for i in range(RECORDS)])
    files = {"trained": folder / "adapter", "summary": folder / "training.json", "scratch": folder / "scratch"}
    seeds = {"initialisation_seed": 1, "order_seed": 2, "epochs": EPOCHS}
    return TrainingCell(**{"label": folder.name, "records": path, "kept": None} | files | seeds | changes)


def weights(one: TrainingCell) -> bytes:
    return next(one.trained.glob("*.safetensors")).read_bytes()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> tuple[TrainingCell, Store]:
    """A watched run, whose weights are those of the same run unwatched, and its store."""
    folder = tmp_path_factory.mktemp("runs")
    observer = TrajectoryLosses(folder / "store", PROBE)
    plain, watched = cell(folder / "plain"), cell(folder / "watched", observer=observer)
    train_cells([plain, watched], tiny_model_folder, Format(), TRAINING, 2)
    assert weights(plain) == weights(watched)
    return watched, read_store(folder / "store")


def test_losses_are_those_of_the_weights(watched: tuple[TrainingCell, Store], tiny_model_folder: Path) -> None:
    run, store = watched
    losses = np.asarray(store.features["losses"])
    assert losses.shape == (RECORDS, CHECKPOINTS)
    assert store.meta["steps"] == [5, 10, 15, 20, 25]
    assert (store.meta["gradient_passes"], store.meta["forward_passes"]) == (EPOCHS, CHECKPOINTS)
    # The last column is what the trained weights say when they are loaded again; the first is another.
    formatter = Formatter(load_tokenizer(tiny_model_folder), Format())
    examples = {record.id: formatter.example(record) for record in load_records(run.records)}
    model = load_model(tiny_model_folder, "float32", run.trained)
    ordered = [examples[id_] for id_ in store.signals["id"]]
    expected = measure(model, ordered, ["losses"], 300, 0).columns["response_nll"]
    np.testing.assert_allclose(losses[:, -1], expected, rtol=1e-5)
    assert losses[:, 0].mean() > losses[:, -1].mean() + 0.1


def test_a_run_that_is_killed_twice_gives_the_same(
    watched: tuple[TrainingCell, Store], tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store = watched
    # First before any checkpoint, with losses half written, then behind one.
    killed = cell(tmp_path / "killed", observer=TrajectoryLosses(tmp_path / "again", PROBE))
    original = module.ResponseTrainer.training_step
    for last in (17, 22):

        def step(self: Any, *arguments: Any, last: int = last) -> Any:
            if self.state.global_step == last:
                raise KeyboardInterrupt
            return original(self, *arguments)

        monkeypatch.setattr(module.ResponseTrainer, "training_step", step)
        with pytest.raises(KeyboardInterrupt):
            train_cells([killed], tiny_model_folder, Format(), TRAINING, 2)
        assert not (tmp_path / "again").exists()
        (kept,) = (tmp_path / "killed" / "scratch").rglob("trajectory")
        if last == 17:
            kept.write_bytes(kept.read_bytes()[:-30])
    monkeypatch.setattr(module.ResponseTrainer, "training_step", original)
    train_cells([killed], tiny_model_folder, Format(), TRAINING, 2)
    again = read_store(tmp_path / "again")
    np.testing.assert_array_equal(np.asarray(again.features["losses"]), np.asarray(store.features["losses"]))
    assert again.signals.equals(store.signals)
    assert not kept.exists()


def keep(folder: Path, step: int, steps: int, losses: list[float], *deviations: dict[str, Any]) -> None:
    """Write what a stopped run had taken at a step."""
    header = {"step": step, "steps": steps, "state": {"token_budget": 100, "deviations": deviations}}
    Journal(folder / "trajectory").append(json.dumps(header).encode() + b"\n" + np.array(losses).tobytes())


def test_a_budget_that_a_stopped_run_lowered_stays_low_and_is_recorded(tmp_path: Path) -> None:
    lowered = {"token_budget": 100, "before": 300, "reason": "memory ran out"}
    keep(tmp_path, 1, 1, [0.5], lowered)
    watch = TrajectoryLosses(tmp_path / "store", PROBE)
    watch.open(tmp_path, 0, [Example("a", [1, 2], 1)], "hash")
    assert watch.budget.tokens == 100
    watch.close(0.0, nn.Linear(1, 1), 0)
    assert read_store(tmp_path / "store").meta["deviations"] == [lowered]


def test_losses_that_are_gone_are_not_passed_over(tmp_path: Path) -> None:
    keep(tmp_path, 5, 25, [0.5])
    watch = TrajectoryLosses(tmp_path / "store", PROBE)
    watch.open(tmp_path, 0, [Example("a", [1, 2], 1)], "hash")
    with pytest.raises(GradsError, match="trajectory has lost losses of a stopped run: delete its folder"):
        watch.close(0.0, nn.Linear(1, 1), 0)


@pytest.mark.parametrize("nonfinite", ["stop", "skip"])
def test_a_loss_that_is_no_finite_number_stops_or_leaves_its_record_out(nonfinite: str, tmp_path: Path) -> None:
    keep(tmp_path, 1, 1, [0.5, np.nan, 0.25])
    watch = TrajectoryLosses(tmp_path / "store", PROBE.model_copy(update={"nonfinite": nonfinite}))
    watch.open(tmp_path, 0, [Example(id_, [1, 2], 1) for id_ in "abc"], "hash")
    if nonfinite == "stop":
        with pytest.raises(GradsError, match=r"probe\.nonfinite"):
            watch.close(0.0, nn.Linear(1, 1), 0)
        return
    watch.close(0.0, nn.Linear(1, 1), 0)
    store = read_store(tmp_path / "store")
    assert (store.signals["id"].tolist(), store.left_out) == (["a", "c"], ["b"])
    np.testing.assert_array_equal(np.asarray(store.features["losses"]), [[0.5], [0.25]])


def test_small_losses_next_to_large_ones_are_kept_exactly(tmp_path: Path) -> None:
    losses = np.geomspace(8.0, 1e-6, 24).reshape(3, 8)[::-1]
    ids = pd.DataFrame({"id": ["a", "b", "c"], "prompt_tokens": 1, "response_tokens": 1, "truncated": False})
    write_store(tmp_path / "s", ids, {"losses": np.vstack([losses[0], losses.T.ravel()[:8], losses[2]])})
    kept = np.asarray(read_store(tmp_path / "s").features["losses"])
    np.testing.assert_allclose(kept, [losses[0], losses.T.ravel()[:8], losses[2]], rtol=1e-6)
    # Directions in half precision, as of other vectors, would not be within 1e-3 of them.
    write_store(tmp_path / "h", ids, {"hidden": np.vstack([losses[0], losses.T.ravel()[:8], losses[2]])})
    half = np.asarray(read_store(tmp_path / "h").features["hidden"])
    assert np.abs(half / kept - 1).max() > 1e-3
