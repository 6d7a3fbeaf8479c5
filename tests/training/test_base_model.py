"""The base model during a run, against a model that nothing has touched."""

import copy

import pytest
import torch

from grads.config.training import Adapter
from grads.data.records.formatting import Example
from grads.models.adapter import fresh_adapter
from grads.models.causal import predicted_logits
from grads.models.load import load_model
from grads.runtime.errors import GradsError
from grads.training.base_model import BaseModel, OwnLoss
from grads.training.step import IGNORED, collate
from grads.training.strategies.contract import Batch, Needs, Parameters, Strategy

BOTH = Needs(base_logits=True, base_weights=True)
EXAMPLES = [
    Example("a", [5, 6, 7, 8, 9], 2),
    Example("b", [5, 6, 7], 1),
    Example("c", [9, 8, 7, 6, 5, 4, 3], 5, earlier=((1, 3),)),
]


def perturbed(model):
    """Move all that is trained away from where it started, and train on."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) / 10)
    return model.train()


def adapted(model, targets="all-linear"):
    return perturbed(fresh_adapter(model, Adapter(rank=2, alpha=6.0, dropout=0.5, targets=targets), seed=0))


@pytest.fixture(params=["adapter", "all weights"])
def trained(request, tiny_model_folder):
    """A model in training, far from its base."""
    model = load_model(tiny_model_folder, "float32")
    return adapted(model) if request.param == "adapter" else perturbed(model)


def batch_of(logits=None):
    batch = collate(EXAMPLES, 0)
    wanted = batch["labels"][:, 1:] != IGNORED
    labels = batch["labels"][:, 1:][wanted]
    records, positions = wanted.nonzero(as_tuple=True)
    logits = torch.zeros(len(labels), 1) if logits is None else logits
    return Batch(batch["input_ids"], records, positions, labels, torch.ones(len(labels)), logits)


def test_the_logits_are_those_of_the_untouched_model(trained, tiny_model_folder):
    base = BaseModel(trained, BOTH, tiny_model_folder, "float32")
    batch = batch_of()
    found = base.logits(batch)
    whole = load_model(tiny_model_folder, "float32")(batch.input_ids).logits
    # The head's product is made at these positions only, so rows are added up in another order.
    torch.testing.assert_close(found, whole[batch.records, batch.positions], rtol=1e-6, atol=1e-6)
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    assert torch.equal(batch.labels, batch.input_ids[batch.records, batch.positions + 1])
    assert batch.records.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("weights", ["adapter", "all weights"])
def test_before_the_first_step_both_are_equal_to_the_bit(weights, precision, tiny_model_folder):
    """So the penalty of a run begins at 0."""
    if weights == "adapter":
        model = fresh_adapter(load_model(tiny_model_folder, precision), Adapter(rank=2), seed=0).train()
    else:
        model = load_model(tiny_model_folder, "float32").train()
    base = BaseModel(model, BOTH, tiny_model_folder, precision)
    batch = batch_of()
    own = base.model, batch.input_ids, batch.records, batch.positions, precision
    assert torch.equal(base.logits(batch), predicted_logits(*own))
    assert all(float(change.squared_norm().detach()) == 0 for change in base.changes().values())


def test_the_trained_model_is_left_as_it_was(trained, tiny_model_folder):
    """Its random numbers too: dropout draws what it would have drawn."""
    base = BaseModel(trained, BOTH, tiny_model_folder, "float32")
    trained.get_submodule("model" if base.copy is not None else "base_model.model.model").norm.eval()

    def state():
        torch.manual_seed(3)
        output = trained(input_ids=batch_of().input_ids).logits.detach()
        modes = [module.training for module in trained.modules()]
        return output, modes, [parameter.requires_grad for parameter in trained.parameters()]

    before = state()
    random = torch.get_rng_state()
    base.logits(batch_of())
    assert torch.equal(torch.get_rng_state(), random)
    after = state()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_dropout_of_the_model_itself_is_no_part_of_the_base(tiny_model_folder):
    model = load_model(tiny_model_folder, "float32")
    calm = BaseModel(adapted(model), BOTH, tiny_model_folder, "float32").logits(batch_of())
    model = load_model(tiny_model_folder, "float32")
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    found = BaseModel(adapted(model), BOTH, tiny_model_folder, "float32").logits(batch_of())
    assert torch.equal(found, calm)


def test_gradients_flow_through_a_model_whose_adapter_was_switched_off_in_between(tiny_model_folder):
    model = adapted(load_model(tiny_model_folder, "float32")).eval()
    base = BaseModel(model, BOTH, tiny_model_folder, "float32")

    def gradients(between):
        model.zero_grad()
        loss = model(input_ids=batch_of().input_ids).logits.square().mean()
        between()
        loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}

    plain, interrupted = gradients(lambda: None), gradients(lambda: base.logits(batch_of()))
    assert plain.keys() == interrupted.keys()
    assert all(torch.equal(plain[name], interrupted[name]) for name in plain)


def test_nothing_is_loaded_or_given_that_was_not_asked_for(trained, tiny_model_folder):
    none = BaseModel(trained, Needs(), tiny_model_folder, "float32")
    assert none.copy is None
    with pytest.raises(GradsError, match=r"asks for the base model's logits .* add base_logits=True"):
        none.logits(batch_of())
    with pytest.raises(GradsError, match=r"asks for the base model's weights .* add base_weights=True"):
        none.changes()
    only = BaseModel(trained, Needs(base_weights=True), tiny_model_folder, "float32")
    assert only.changes()
    with pytest.raises(GradsError, match="base_logits=True"):
        only.logits(batch_of())


def gpt2():
    """A model of Conv1D layers, whose weights are inputs x outputs."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=31, n_embd=16, n_layer=2, n_head=2, n_positions=32))


@pytest.mark.parametrize("targets", [["c_attn", "c_fc"], ["wte", "c_proj"]])
def test_what_an_adapter_changes_is_what_merging_adds(targets):
    plain = gpt2()
    weights = {name: weight.clone() for name, weight in plain.named_parameters()}
    model = adapted(plain, targets)
    changes = BaseModel(model, BOTH, None, "float32").changes()
    dense = {name: change.dense().detach() for name, change in changes.items()}
    merged = dict(copy.deepcopy(model).eval().merge_and_unload().named_parameters())
    moved = {name for name, weight in weights.items() if not torch.equal(merged[name], weight)}
    assert set(changes) == moved
    assert len(moved) >= 4 - ("wte" in targets)
    for name, change in dense.items():
        torch.testing.assert_close(change, merged[name] - weights[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("targets", [["c_attn", "c_fc"], ["wte", "c_proj"]])
def test_a_squared_norm_of_an_adapter_and_its_gradient_are_those_of_the_whole_change(targets):
    model = adapted(gpt2(), targets)
    changes = BaseModel(model, BOTH, None, "float32").changes().values()

    def gradients(total):
        model.zero_grad()
        total.backward()
        return total.item(), [p.grad.clone() for p in model.parameters() if p.requires_grad]

    found, through_factors = gradients(sum(change.squared_norm() for change in changes))
    expected, through_dense = gradients(sum(change.dense().square().sum() for change in changes))
    assert found == pytest.approx(expected, rel=1e-5)
    for one, other in zip(through_factors, through_dense, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_where_all_weights_are_trained_each_one_has_its_change(tiny_model_folder):
    model = perturbed(load_model(tiny_model_folder, "float32"))
    base = dict(load_model(tiny_model_folder, "float32").named_parameters())
    changes = BaseModel(model, BOTH, tiny_model_folder, "float32").changes()
    assert list(changes) == [name for name, _ in model.named_parameters()]
    for name, weight in model.named_parameters():
        assert torch.equal(changes[name].dense(), weight - base[name])


@pytest.mark.parametrize("wrong", [lambda nll: nll.mean(), lambda nll: nll[:, None], lambda nll: nll[1:]])
def test_a_loss_of_another_shape_is_refused(wrong):
    """A mean over a micro-batch would depend on how the global batch is cut."""
    strategy = Strategy(
        name="mine",
        title="Mine",
        source="here",
        loss=lambda batch, reference, parameters: wrong(batch.nll),
    )
    own = OwnLoss(strategy, Parameters(), BaseModel(gpt2(), Needs(), None, "float32"))
    with pytest.raises(GradsError, match=r"loss of strategy 'mine' has the shape \(.*\) for 9 predictions: return one"):
        own(batch_of(torch.zeros(9, 31)))
