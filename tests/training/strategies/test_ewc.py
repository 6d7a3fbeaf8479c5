"""The penalty on weights by how much general answers hang on them, against its closed form."""

from types import SimpleNamespace

import pytest
import torch

from grads.data.records.formatting import Example
from grads.data.records.record import make_record, write_records
from grads.models.load import load_model
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.training.base_model import BaseModel, OwnLoss
from grads.training.strategies.contract import Inputs, Needs
from grads.training.strategies.ewc import STRATEGY, Ewc

from ..conftest import TRAINING, cell, step_of, train, weights

GENERAL = [Example("g", [5, 6, 7, 8, 9], 2), Example("h", [9, 8, 7], 1)]
EXAMPLES = [Example("a", [4, 5, 6, 7], 1), Example("b", [8, 7, 6, 5, 4, 3], 3), Example("c", [3, 4], 1)]


class Moved:
    """A change of a weight by what it is given."""

    def __init__(self, change):
        self.change = change

    def dense(self):
        return self.change


def test_the_penalty_and_its_pull_by_hand(batch):
    """Half the coefficient times the sum of F (w - w0)^2, whose derivative is coefficient F (w - w0)."""
    first = torch.tensor([[1.0, -2.0]], requires_grad=True)
    second = torch.tensor([3.0], requires_grad=True)
    fisher = {"first": torch.tensor([[2.0, 0.5]]), "second": torch.tensor([0.0])}
    reference = SimpleNamespace(fisher=lambda: fisher, changes=lambda: {"first": Moved(first), "second": Moved(second)})
    one = batch(torch.zeros(2, 4), [1, 3])
    found = STRATEGY.loss(one, reference, Ewc(coefficient=3.0))
    assert (found - one.nll).tolist() == pytest.approx([1.5 * (2 * 1 + 0.5 * 4)] * 2)
    found.mean().backward()
    assert first.grad.tolist() == [pytest.approx([3.0 * 2.0 * 1.0, 3.0 * 0.5 * -2.0])]
    assert second.grad.tolist() == [0.0]


def gradient(model, folder, coefficient, engine, size):
    base = BaseModel(model, Needs(base_weights=True, fisher=True), folder, "float32", GENERAL)
    one = step_of(engine, size, own_loss=OwnLoss(STRATEGY, Ewc(coefficient=coefficient), base))
    model.zero_grad()
    with one.engine.ready(model, EXAMPLES):
        loss = one.add_gradient(model, EXAMPLES)
    grads = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}
    return loss.item(), grads, base


@pytest.mark.parametrize(("engine", "size"), [("fast", 1), ("fast", 3), ("reference", 2)])
def test_a_step_adds_the_penalty_once(trained, tiny_model_folder, engine, size):
    plain, without, base = gradient(trained, tiny_model_folder, 0.0, engine, size)
    penalised, with_it, _ = gradient(trained, tiny_model_folder, 0.5, engine, size)
    fisher = base.fisher()
    changes = {name: change.dense().detach() for name, change in base.changes().items()}
    expected = sum(float((fisher[name] * change.square()).sum()) for name, change in changes.items())
    assert penalised - plain == pytest.approx(0.25 * expected, rel=1e-3)
    for name, found in with_it.items():
        pull = found - without[name]
        if "lora_" not in name:
            torch.testing.assert_close(pull, 0.5 * fisher[name] * changes[name], rtol=1e-3, atol=1e-5)
        elif "lora_B" in name:
            # d/dB of 1/2 sum F (s B A)^2 is s (F * s B A) A^T.
            layer = name.removeprefix("base_model.model.").partition(".lora_B")[0] + ".weight"
            down = dict(trained.named_parameters())[name.replace("lora_B", "lora_A")].detach()
            torch.testing.assert_close(pull, 0.5 * 3 * (fisher[layer] * changes[layer]) @ down.T, rtol=1e-3, atol=1e-5)


def test_the_general_records_are_drawn_by_the_seed_alone(examples):
    general = examples(9, "g")
    found = [STRATEGY.prepare(examples(count), Inputs(replay=general, seed=3), Ewc(records=4)) for count in (1, 5)]
    ids = [[example.id for example in one.general] for one in found]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 4
    assert [len(one.examples) for one in found] == [1, 5]
    assert found[0].notes == {"general_records": 4}


def test_too_few_general_records_are_refused(examples):
    with pytest.raises(GradsError, match=r"from 64 general records, and 3 are eligible: raise general\.instructions"):
        STRATEGY.prepare(examples(2), Inputs(replay=examples(3, "g")), Ewc())


def test_a_run_stays_near_where_general_answers_hang_and_is_charged_for_knowing(tmp_path, records, tiny_model_folder):
    write_records(tmp_path / "general.parquet", [make_record(f"Say {i}.", "", f"word {i}") for i in range(6)])
    own = {"strategy": "ewc", "replay": tmp_path / "general.parquet", "epochs": 1}
    plain = cell(tmp_path, records, "plain", epochs=1)
    held = cell(tmp_path, records, "held", strategy_parameters={"records": 4, "coefficient": 1.0e4}, **own)
    free = cell(tmp_path, records, "free", strategy_parameters={"records": 4, "coefficient": 0.0}, **own)
    train(tiny_model_folder, plain, held, free)

    def moved(run):
        found = weights(run)
        downs = [name for name in found if "lora_A" in name]
        return sum(float((found[name.replace("lora_A", "lora_B")] @ found[name]).square().sum()) for name in downs)

    assert moved(held) < 0.5 * moved(plain)
    assert moved(free) == pytest.approx(moved(plain), rel=1e-5)
    summaries = {run.label: read_json(run.summary) for run in (plain, held)}
    assert summaries["held"]["notes"] == {"general_records": 4}
    base = sum(weight.numel() for weight in load_model(tiny_model_folder, "float32").parameters())
    extra = summaries["held"]["flops"] - summaries["plain"]["flops"]
    assert extra % (6 * base) == 0
    assert extra > 0
    assert TRAINING.adapter.dropout > 0


def test_it_needs_the_base_models_weights_and_its_fisher_information():
    assert STRATEGY.needs(Ewc()) == Needs(base_weights=True, fisher=True)
