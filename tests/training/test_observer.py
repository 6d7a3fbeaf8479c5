"""A run that is watched, and one that goes on from trained weights."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.training import Adapter
from grads.data.records.formatting import Formatter
from grads.data.records.record import load_records, make_record, write_records
from grads.models.load import load_model, load_tokenizer
from grads.probing.during import During
from grads.probing.gradients.passes import Pass
from grads.probing.measure import measure
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.signals.store import read_store
from grads.study.seeds import shuffled_ids
from grads.training import run as module
from grads.training.run import TrainingCell, train_cells

from . import conftest
from .conftest import same, weights

TRAINING = conftest.TRAINING.model_copy(update={"adapter": Adapter(rank=2, dropout=0.2)})
PROBE, MEASURES = Probe(token_budget=300, precision="float32"), ["gradients", "adapter", "mean_abs", "sgd_features"]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "train.parquet"
    write_records(path, [make_record(f"Define the term {i}.", "", f"meaning number {i}") for i in range(90)])
    return path


def cell(folder: Path, records: Path, **changes: Any) -> TrainingCell:
    files = {"trained": folder / "adapter", "summary": folder / "training.json", "scratch": folder / "scratch"}
    seeds = {"initialisation_seed": 1, "order_seed": 2, "epochs": 1}
    return TrainingCell(**{"label": folder.name, "records": records, "kept": None} | files | seeds | changes)


def test_watching_does_not_change_the_run_and_sees_the_weights_before_each_step(
    tmp_path: Path, records: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = cell(tmp_path / "plain", records)
    train_cells([plain], tiny_model_folder, Format(), TRAINING, 2)
    watched = cell(tmp_path / "watched", records, observer=During(tmp_path / "during", PROBE, MEASURES))
    train_cells([watched], tiny_model_folder, Format(), TRAINING, 2)
    assert same(plain, watched)
    store = read_store(tmp_path / "during")
    found = store.signals.set_index("id")
    assert (store.meta["records"], store.meta["point"], store.meta["gradient_passes"]) == (90, "during", 2)
    summary = read_json(watched.summary)
    assert store.meta["flops"] == pytest.approx(2 * summary["flops"], rel=0.1)
    assert store.meta["flops"] < 2 * summary["flops"]
    order = shuffled_ids(found.index, 2)
    # The first step begins with untrained weights.
    tokenizer = load_tokenizer(tiny_model_folder)
    formatter = Formatter(tokenizer, Format())
    examples = {record.id: formatter.example(record) for record in load_records(records)}
    model = load_model(tiny_model_folder, "float32")
    for ids, equal in ((order[:4], True), (order[-4:], False)):
        expected = measure(model, [examples[id_] for id_ in ids], ["gradients"], 300, 0).columns
        assert np.allclose(found.loc[ids, "head_l2"], expected["head_l2"], rtol=1e-4) == equal


@pytest.mark.parametrize("nonfinite", ["stop", "skip"])
def test_memory_and_numbers_that_go_wrong_while_it_is_watched(
    nonfinite: str, tmp_path: Path, records: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, bad = Pass.measure, load_records(records)[7].id

    def scarce(self: Pass, examples: Any) -> Any:
        if len(examples) > 2:
            raise MemoryError
        found = original(self, examples)
        found.columns["head_l2"][[example.id == bad for example in examples]] = np.nan
        return found

    monkeypatch.setattr(Pass, "measure", scarce)
    probe = PROBE.model_copy(update={"nonfinite": nonfinite})
    watched = cell(tmp_path / "watched", records, observer=During(tmp_path / "during", probe, MEASURES))
    if nonfinite == "stop":
        with pytest.raises(GradsError, match=rf"record {bad} has head_l2 = nan"):
            train_cells([watched], tiny_model_folder, Format(), TRAINING, 2)
        return
    train_cells([watched], tiny_model_folder, Format(), TRAINING, 2)
    store = read_store(tmp_path / "during")
    assert (store.left_out, store.meta["records"]) == ([bad], 89)
    # Once lowered, the budget stays so in later steps.
    assert 1 <= len(store.meta["deviations"]) <= 3
    assert store.meta["deviations"][0]["before"] == 300
    assert len(store.meta["key"]) == 64


def test_another_model_in_the_same_place_does_not_go_on_with_what_was_seen(
    tmp_path: Path, records: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, keys = tmp_path / "model", []
    shutil.copytree(tiny_model_folder, folder)
    monkeypatch.setattr(During, "open", lambda _self, scratch, *_: keys.append(scratch.name) or _stop())
    for change in (0.0, 0.0, 1.0):
        weights = load_file(folder / "model.safetensors")
        save_file(
            {name: value + change for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"}
        )
        watched = cell(tmp_path / "watched", records, observer=During(tmp_path / "during", PROBE, MEASURES))
        with pytest.raises(KeyboardInterrupt):
            train_cells([watched], folder, Format(), TRAINING, 2)
    assert keys[0] == keys[1] != keys[2]


def _stop() -> None:
    raise KeyboardInterrupt


def test_a_stopped_run_gives_the_same_store(
    tmp_path: Path, records: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = cell(tmp_path / "watched", records, observer=During(tmp_path / "during", PROBE, MEASURES))
    train_cells([watched], tiny_model_folder, Format(), TRAINING, 2)
    store = read_store(tmp_path / "during")
    # Stopped after its checkpoint and in the middle of a line.
    original = module.ResponseTrainer.training_step

    def step(self: Any, *arguments: Any) -> Any:
        if self.state.global_step == 22:
            raise KeyboardInterrupt
        return original(self, *arguments)

    killed = cell(tmp_path / "killed", records, observer=During(tmp_path / "again", PROBE, MEASURES))
    monkeypatch.setattr(module.ResponseTrainer, "training_step", step)
    with pytest.raises(KeyboardInterrupt):
        train_cells([killed], tiny_model_folder, Format(), TRAINING, 2)
    monkeypatch.setattr(module.ResponseTrainer, "training_step", original)
    (rows_file,) = (tmp_path / "killed" / "scratch").rglob("during")
    rows_file.write_bytes(rows_file.read_bytes()[:-30])
    train_cells([killed], tiny_model_folder, Format(), TRAINING, 2)
    again = read_store(tmp_path / "again")
    assert again.signals.equals(store.signals)
    assert np.array_equal(again.features["sgd_features"][:], store.features["sgd_features"][:])


def test_training_goes_on_from_the_preliminary_epoch(tmp_path: Path, records: Path, tiny_model_folder: Path) -> None:
    warm, fresh = cell(tmp_path / "warm", records), cell(tmp_path / "fresh", records)
    train_cells([warm, fresh], tiny_model_folder, Format(), TRAINING, 4)
    on = cell(tmp_path / "on", records, start=warm.trained)
    train_cells([on], tiny_model_folder, Format(), TRAINING, 4)
    # Fresh weights and same seeds repeat the preliminary epoch; going on begins where it ended, with a fresh schedule.
    assert same(warm, fresh)
    assert not same(warm, on)
    losses = {one.label: [entry["loss"] for entry in read_json(one.summary)["curve"]] for one in (warm, on)}
    assert losses["on"][0] < losses["warm"][0] - 0.5
    assert {name: value.shape for name, value in weights(on).items()} == {
        name: value.shape for name, value in weights(warm).items()
    }


def test_all_weights_go_on_too(tmp_path: Path, records: Path, tiny_model_folder: Path) -> None:
    full = TRAINING.model_copy(update={"weights": "full", "learning_rate": 1.0e-3})
    warm = cell(tmp_path / "warm", records)
    train_cells([warm], tiny_model_folder, Format(), full, 4)
    on = cell(tmp_path / "on", records, start=warm.trained)
    train_cells([on], tiny_model_folder, Format(), full, 4)
    first, then = (read_json(one.summary)["curve"][0]["loss"] for one in (warm, on))
    assert then < first
