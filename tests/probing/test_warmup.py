"""Gradients at the checkpoints of a warm-up: by the weights and moments of each, and their weighted sum."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from grads.config.features import Features
from grads.config.models import Format
from grads.config.probe import Probe, Warmup
from grads.config.training import Adapter, Training
from grads.data.records.formatting import Formatter
from grads.data.records.record import load_records, make_record, write_records
from grads.models.load import load_tokenizer
from grads.models.moments import moments_of
from grads.probing import warmup
from grads.probing.measure import measure
from grads.probing.warmup import Place, WarmupFeatures, checkpoint_weights, drawn_share, learning_rates
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.signals.store import Store, read_store
from grads.training import run as module
from grads.training.run import TrainingCell, train_cells

TRAINING = Training(
    global_batch=4,
    learning_rate=1.0e-2,
    warmup=0.2,
    max_length=256,
    precision="float32",
    adapter=Adapter(rank=2, dropout=0.2),
)
EPOCHS, RECORDS, TARGETS = 3, 20, 5
PROBE = Probe(token_budget=300, precision="float32", features=Features(size=4), warmup=Warmup(share=0.5, epochs=EPOCHS))


class Watched(WarmupFeatures):
    """Takes, at each checkpoint, the vectors once more by itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def after_step(self, model: nn.Module, step: int, steps: int, optimizer: Any) -> None:
        before = len(self.taken)
        super().after_step(model, step, steps, optimizer)
        if len(self.taken) > before:
            moments = moments_of(model, optimizer)
            options: dict[str, Any] = {"features": self.probe.features}
            adam = measure(model, self.examples["train"], ["adam_features"], 300, 0, moments=moments, **options)
            plain = measure(model, self.examples["validation"], ["sgd_features"], 300, 0, **options)
            self.seen.append((adam.vectors["adam_features"], plain.vectors["sgd_features"]))


def records_in(folder: Path) -> tuple[Path, Path]:
    train, validation = folder / "train.parquet", folder / "validation.parquet"
    write_records(train, [make_record(f"Define the term {i}.", "", f"meaning number {i}") for i in range(RECORDS)])
    write_records(validation, [make_record(f"What is {i}?", "", f"it is {i} and {i}") for i in range(TARGETS)])
    return train, validation


def places(train: Path, validation: Path, stores: tuple[Path, Path]) -> tuple[Place, Place]:
    return Place(train, stores[0]), Place(validation, stores[1])


def cell(folder: Path, train: Path, **changes: Any) -> TrainingCell:
    files = {"trained": folder / "adapter", "summary": folder / "training.json", "scratch": folder / "scratch"}
    seeds = {"initialisation_seed": 1, "order_seed": 2, "epochs": EPOCHS}
    return TrainingCell(**{"label": folder.name, "records": train, "kept": None} | files | seeds | changes)


def weights(one: TrainingCell) -> bytes:
    return next(one.trained.glob("*.safetensors")).read_bytes()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> tuple[Watched, Store, Store]:
    """A watched run, whose weights are those of the same run unwatched, and its stores."""
    folder = tmp_path_factory.mktemp("warmup")
    train, validation = records_in(folder)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(warmup, "BLOCK", 7)
    stores = folder / "store", folder / "targets"
    observer = Watched(tiny_model_folder, Format(), TRAINING, PROBE, *places(train, validation, stores))
    plain, seen = cell(folder / "plain", train), cell(folder / "watched", train, observer=observer)
    train_cells([plain, seen], tiny_model_folder, Format(), TRAINING, 2)
    monkeypatch.undo()
    assert weights(plain) == weights(seen)
    return observer, read_store(stores[0]), read_store(stores[1])


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_products_are_the_weighted_sums_of_cosines_at_the_checkpoints(watched: tuple[Watched, Store, Store]) -> None:
    observer, store, targets = watched
    assert store.meta["steps"] == targets.meta["steps"] == [5, 10, 15]
    assert len(observer.seen) == EPOCHS
    expected = sum(
        weight * unit(adam.astype(float)) @ unit(plain.astype(float)).T
        for weight, (adam, plain) in zip(store.meta["weights"], observer.seen, strict=True)
    )
    steps, gradients = np.asarray(store.features["adam_features"]), np.asarray(targets.features["sgd_features"])
    assert (len(steps), len(gradients)) == (RECORDS, TARGETS)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(steps.astype(float) @ gradients.T.astype(float), expected, atol=2e-3)
    # Checkpoints differ, or there would be nothing to add up.
    cosines = (unit(observer.seen[0][0]) * unit(observer.seen[2][0])).sum(axis=1)
    assert cosines.max() < 0.999


def test_rows_are_ordered_and_counted(watched: tuple[Watched, Store, Store]) -> None:
    _, store, targets = watched
    for one in (store, targets):
        assert one.signals["id"].is_monotonic_increasing
        assert one.meta["point"] == "warmup"
        assert one.left_out == []
    assert store.meta["gradient_passes"] == EPOCHS + 0.5 * EPOCHS
    assert targets.meta["gradient_passes"] == EPOCHS
    assert store.meta["flops"] > targets.meta["flops"] > 0


def test_weights_are_mean_learning_rates() -> None:
    rates = learning_rates(10, TRAINING)
    # Two steps of warm-up, from 0; then the cosine from the full rate down.
    assert rates[:3] == pytest.approx([0.0, 0.005, 0.01])
    assert rates[6] == pytest.approx(0.005)
    found = checkpoint_weights([5, 10], TRAINING)
    means = [np.mean(rates[:5]), np.mean(rates[5:])]
    assert found == pytest.approx([mean / sum(means) for mean in means])
    assert checkpoint_weights([1], TRAINING) == [1.0]


def test_the_rates_are_those_of_the_run(watched: tuple[Watched, Store, Store]) -> None:
    observer, _, _ = watched
    summary = read_json(observer.parts[0].place.store.parent / "watched" / "training.json")
    assert [entry["learning_rate"] for entry in summary["curve"]] == pytest.approx(learning_rates(15, TRAINING))


def test_a_stopped_run_goes_on_with_the_vectors_that_it_took(
    tmp_path: Path, tiny_model_folder: Path, watched: tuple[Watched, Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, validation = records_in(tmp_path)
    stores = tmp_path / "store", tmp_path / "targets"

    def observer() -> WarmupFeatures:
        return WarmupFeatures(tiny_model_folder, Format(), TRAINING, PROBE, *places(train, validation, stores))

    class Stopped(WarmupFeatures):
        def after_step(self, model: nn.Module, step: int, steps: int, optimizer: Any) -> None:
            super().after_step(model, step, steps, optimizer)
            if step == 12:
                raise KeyboardInterrupt

    monkeypatch.setattr(module, "_arguments", often_saved(module._arguments))
    stopped = Stopped(tiny_model_folder, Format(), TRAINING, PROBE, *places(train, validation, stores))
    with pytest.raises(KeyboardInterrupt):
        train_cells([cell(tmp_path / "run", train, observer=stopped)], tiny_model_folder, Format(), TRAINING, 2)
    # What is known of the run is by the observer's module, which the class that stops it has not.
    resumed = observer()
    train_cells([cell(tmp_path / "run", train, observer=resumed)], tiny_model_folder, Format(), TRAINING, 2)
    expected = np.asarray(watched[1].features["adam_features"])
    np.testing.assert_allclose(np.asarray(read_store(stores[0]).features["adam_features"]), expected, atol=1e-3)


def often_saved(arguments: Any) -> Any:
    def made(*given: Any) -> Any:
        found = arguments(*given)
        found.save_steps = 5
        return found

    return made


def test_lost_vectors_are_missed(tmp_path: Path, tiny_model_folder: Path) -> None:
    train, validation = records_in(tmp_path)
    observer = WarmupFeatures(
        tiny_model_folder,
        Format(),
        TRAINING,
        PROBE,
        *places(train, validation, (tmp_path / "store", tmp_path / "targets")),
    )
    observer.open(tmp_path, 0, [], "")
    observer.steps = 15
    with pytest.raises(GradsError, match="has lost vectors of a stopped run"):
        observer.close(0.0, nn.Linear(1, 1), 0)


def test_the_part_is_drawn_by_seed_and_id() -> None:
    ids = [f"r{number}" for number in range(200)]
    assert len(drawn_share(ids, 0.05, 0)) == 10
    assert set(drawn_share(ids, 0.05, 0)) < set(drawn_share(ids[::-1], 0.5, 0))
    assert drawn_share(ids, 0.05, 0) != drawn_share(ids, 0.05, 1)


def test_long_records_are_left_out_as_in_training(tmp_path: Path, tiny_model_folder: Path) -> None:
    train, validation = records_in(tmp_path)
    formatter = Formatter(load_tokenizer(tiny_model_folder), Format())
    assert len(formatter.tokenize(load_records(train), 256, "drop").examples) == RECORDS
    short = TRAINING.model_copy(update={"max_length": 8, "over_length": "drop"})
    observer = WarmupFeatures(
        tiny_model_folder,
        Format(),
        short,
        PROBE,
        *places(train, validation, (tmp_path / "store", tmp_path / "targets")),
    )
    observer.open(tmp_path, 0, [], "")
    assert not observer.examples["train"]


@pytest.mark.parametrize("nonfinite", ["stop", "skip"])
def test_a_vector_that_is_no_number_stops_the_run_or_leaves_its_record_out(
    nonfinite: str, tmp_path: Path, tiny_model_folder: Path
) -> None:
    train, validation = records_in(tmp_path)
    stores = tmp_path / "store", tmp_path / "targets"
    probe = PROBE.model_copy(update={"nonfinite": nonfinite, "warmup": Warmup(share=0.5, epochs=2)})
    observer = WarmupFeatures(tiny_model_folder, Format(), TRAINING, probe, *places(train, validation, stores))
    observer.open(tmp_path, 0, [], "")
    for part, count in zip(observer.parts, (RECORDS, TARGETS), strict=True):
        for step in (5, 10):
            lengths = np.ones(count)
            lengths[3] = np.nan if part.name == "train" and step == 5 else 1.0
            np.save(tmp_path / f"warmup-{part.name}-{step}-directions.npy", np.eye(count, dtype=np.float16))
            np.save(tmp_path / f"warmup-{part.name}-{step}-lengths.npy", lengths)
    observer.steps = 10
    observer.taken = [5, 10]
    bad = observer.examples["train"][3].id
    if nonfinite == "stop":
        with pytest.raises(GradsError, match=bad):
            observer.close(0.0, nn.Linear(1, 1), 0)
        return
    observer.close(0.0, nn.Linear(1, 1), 0)
    store = read_store(stores[0])
    assert store.left_out == [bad]
    assert bad not in set(store.signals["id"])
    assert len(store.signals) == len(store.features["adam_features"]) == RECORDS - 1
    # Twice the same direction, one after the other, by the roots of weights that add up to 1.
    np.testing.assert_allclose(np.linalg.norm(np.asarray(store.features["adam_features"]), axis=1), 1, atol=1e-3)
