"""Runs on a tiny model, as several tests make them."""

import pytest
import torch
from safetensors.torch import load_file

from grads.config.models import Format
from grads.config.training import Adapter, Training
from grads.data.records.record import make_record, write_records
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model
from grads.training.engine import ENGINES
from grads.training.run import TrainingCell, train_cells
from grads.training.step import Collator, Pace, Step

TRAINING = Training(
    epochs=2,
    global_batch=4,
    learning_rate=1.0e-2,
    max_length=256,
    precision="float32",
    adapter=Adapter(rank=2, dropout=0.1),
)


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "train.parquet"
    write_records(path, [make_record(f"Define the term {i}.", "", f"meaning number {i}") for i in range(50)])
    return path


@pytest.fixture(params=["adapter", "all weights"])
def trained(request, tiny_model_folder):
    """A model in training, far from its base; without dropout, whose random numbers follow the batches."""
    model = load_model(tiny_model_folder, "float32")
    if request.param == "adapter":
        model = fresh_adapter(model, Adapter(rank=2, alpha=6.0), seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) / 10)
    return model.train()


def step_of(engine="reference", size=8, weights=None, own_loss=None, precision="float32"):
    """Return what makes the gradient of a global batch, in micro-batches of so many records."""
    pace = Pace(micro_batch=size, longest=64)
    return Step(ENGINES[engine](), precision, Collator(0, weights or {}), pace, own_loss)


def cell(tmp_path, records, name="a", **changes):
    return TrainingCell(
        **{
            "label": name,
            "records": records,
            "kept": None,
            "trained": tmp_path / name / "adapter",
            "summary": tmp_path / name / "training.json",
            "scratch": tmp_path / "scratch" / name,
            "initialisation_seed": 1,
            "order_seed": 2,
        }
        | changes
    )


def train(model, *cells, training=TRAINING, micro_batch=4):
    train_cells(cells, model, Format(), training, micro_batch)


def weights(cell):
    return load_file(next(cell.trained.glob("*.safetensors")))


def same(one, other):
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())
