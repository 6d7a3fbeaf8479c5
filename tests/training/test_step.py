"""The gradient of one optimiser step against transformers' own loss, and the fast engine against the plain one."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from grads.data.records.formatting import Example
from grads.models.cpu.interface import NAME
from grads.training.engine import ENGINES, FastEngine
from grads.training.step import IGNORED, Collator, Pace, collate
from tests.probing.conftest import build_model

from .conftest import step_of

EXAMPLES = [
    Example("a", [5, 6, 7, 8, 9], 2),
    Example("b", [5, 6, 7], 1),
    Example("c", [9, 8, 7, 6, 5, 4, 3], 4),
]


@pytest.fixture
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=31, num_key_value_heads=1, **shape))


def loss_of(model, examples, **options):
    return step_of(**options).add_gradient(model, examples)


def test_only_response_tokens_and_no_padding_carry_labels():
    batch = collate(EXAMPLES, padding=0)
    assert batch["input_ids"].shape == batch["labels"].shape == (3, 7)
    assert batch["labels"][1].tolist() == [IGNORED, 6, 7, *[IGNORED] * 4]
    assert (batch["labels"] != IGNORED).sum() == sum(e.response_tokens for e in EXAMPLES)


def test_earlier_answers_carry_labels_where_they_are_marked(model):
    conversation = Example("d", [9, 8, 7, 6, 5, 4, 3], 6, earlier=((1, 2), (3, 5)))
    batch = collate([EXAMPLES[0], conversation], padding=0)
    assert batch["labels"][1].tolist() == [IGNORED, 8, IGNORED, 6, 5, IGNORED, 3]
    expected = model(**batch, attention_mask=torch.ones_like(batch["input_ids"])).loss
    assert loss_of(model, [EXAMPLES[0], conversation]).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_is_that_of_transformers(model):
    batch = collate(EXAMPLES, padding=0)
    expected = model(**batch, attention_mask=torch.ones_like(batch["input_ids"])).loss
    assert loss_of(model, EXAMPLES).item() == pytest.approx(expected.item(), rel=1e-5)


def gradient(model, examples=EXAMPLES, engine="reference", size=8, precision="float32"):
    """Return the loss and all gradients of a step."""
    model.zero_grad()
    step = step_of(engine, size, precision=precision)
    with step.engine.ready(model, examples):
        loss = step.add_gradient(model, examples)
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_gradient_does_not_depend_on_the_micro_batch(model, engine):
    expected = gradient(model)
    for size in (1, 2, 3):
        for found, right in zip(gradient(model, engine=engine, size=size), expected, strict=True):
            torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_few_logits_at_a_time_are_the_same(model, engine, monkeypatch):
    expected = gradient(model, engine=engine)
    monkeypatch.setattr(ENGINES[engine], "chunk", 2 * 31)
    for found, right in zip(gradient(model, engine=engine), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("padding", [0, 5, 30])
def test_padding_on_the_right_is_no_part_of_the_loss(model, padding):
    """Whatever token fills the batch, the loss is that of the examples alone."""
    alone = sum(loss_of(model, [example]).item() * example.response_tokens for example in EXAMPLES) / 8
    step = step_of()
    step.collator = Collator(padding, {})
    assert step.add_gradient(model, EXAMPLES).item() == pytest.approx(alone, rel=1e-5)


def test_a_truncated_response_has_no_end_to_learn():
    batch = collate([Example("a", [5, 6, 7, 8], 2, truncated=True)], padding=0)
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, 8]]


def test_bf16_is_the_matrices_and_the_loss_stays_float32(model):
    rough = gradient(model, precision="bf16")[0]
    exact = gradient(model)[0]
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=1e-2)
    assert rough.item() != exact.item()


START = list(range(5, 17))
MANY = [
    Example("e", [*START, 7, 8, 9], 13),
    Example("f", [*START, 20, 21, 22, 23, 24, 25, 26], 14),
    Example("g", [30, 8, 7], 1),
    Example("h", [*START, 7, 8, 9, 9, 9], 14, earlier=((4, 6),)),
    Example("i", [*START, 20, 21, 22, 23, 24, 25, 26, 27, 28], 20),
]
ADAPTERS = {
    "plain": {},
    "scaled": {"use_rslora": True, "lora_alpha": 7},
    "ranks": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
    "some": {"target_modules": ["q_proj", "down_proj"]},
}


def adapted(model, **options):
    """Return a model in training with an adapter whose B is not zero."""
    torch.manual_seed(1)
    config = LoraConfig(**{"r": 4, "lora_alpha": 16, "target_modules": "all-linear"} | options)
    found = get_peft_model(copy.deepcopy(model), config)
    for name, parameter in found.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return found.train()


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("options", ADAPTERS.values(), ids=ADAPTERS)
def test_an_adapters_gradient_is_that_of_pefts_modules(options, size):
    model = adapted(build_model("llama-tied", "sdpa"), **options)
    expected = gradient(model, MANY)
    for found, right in zip(gradient(model, MANY, "fast", size), expected, strict=True):
        assert (found - right).norm() <= 1e-5 * right.norm()


@pytest.mark.parametrize(
    "name", ["qwen2-untied", "qwen3-tied", "mistral-tied", "gemma2-tied", "gemma3-tied", "gpt2-tied", "phi-untied"]
)
@pytest.mark.parametrize("weights", ["lora", "full"])
def test_every_architecture_has_the_gradient_of_its_own_modules(name, weights):
    model = build_model(name, "eager" if name.startswith("gemma2") else "sdpa")
    # GPT-2 has dropout by default; it is tested by itself.
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for key in ("resid_pdrop", "embd_pdrop", "attn_pdrop", "summary_first_dropout"):
        if hasattr(model.config, key):
            setattr(model.config, key, 0.0)
    model = adapted(model) if weights == "lora" else model.train()
    expected = gradient(model, MANY)
    for found, right in zip(gradient(model, MANY, "fast", 3), expected, strict=True):
        assert (found - right).norm() <= 2e-5 * right.norm()


def test_bf16_is_as_near_to_float32_as_pefts_modules_are():
    model = adapted(build_model("llama-tied", "sdpa"))
    exact = gradient(model, MANY)[1]
    rough = copy.deepcopy(model)
    for name, parameter in rough.named_parameters():
        if "lora_" not in name:
            parameter.data = parameter.data.bfloat16()
    plain = gradient(rough, MANY, precision="bf16")[1]
    fast = gradient(rough, MANY, "fast", precision="bf16")[1]
    assert fast.dtype == torch.float32
    assert (fast - exact).norm() <= 1.2 * (plain - exact).norm()


def test_what_records_begin_with_is_computed_once(monkeypatch):
    model = adapted(build_model("llama-tied", "sdpa"))
    seen = []
    inner = model.get_base_model().model.forward
    monkeypatch.setattr(
        model.get_base_model().model,
        "forward",
        lambda **given: seen.append(given["input_ids"].numel()) or inner(**given),
    )
    engine = FastEngine()
    step = step_of(size=8)
    step.engine = engine
    with engine.ready(model, MANY):
        seen.clear()
        step.add_gradient(model, MANY)
    tokens = sum(len(example.input_ids) - 1 for example in MANY)
    assert seen == [tokens - 3 * len(START)]
    assert engine.notes() == {"engine": "fast", "rows": True}


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("name", ["llama-tied", "gpt2-tied"])
def test_both_engines_drop_the_same(name, size):
    model = adapted(build_model(name, "sdpa"), lora_dropout=0.0 if name.startswith("gpt2") else 0.3)
    found = {}
    for engine in ENGINES:
        torch.manual_seed(4)
        found[engine] = gradient(model, MANY, engine, size)
    for one, other in zip(*found.values(), strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm()
    assert not torch.allclose(gradient(model, MANY, "fast", size)[1], found["fast"][1])


def test_the_model_is_as_it_was_afterwards():
    model = adapted(build_model("llama-tied", "sdpa"))
    before = gradient(model, MANY)
    with FastEngine().ready(model, MANY):
        assert model.get_base_model().config._attn_implementation == NAME
        assert model.training
    assert model.get_base_model().config._attn_implementation == "sdpa"
    assert all(torch.equal(a, b) for a, b in zip(gradient(model, MANY), before, strict=True))


def test_a_record_beyond_the_window_is_padded_and_right():
    model = adapted(build_model("mistral-tied", "sdpa"))
    engine = FastEngine()
    with engine.ready(model, MANY):
        assert engine.longest == 8
        parts = engine.parts(MANY, 8, 64)
    assert sorted(tuple(example.id for example in part) for part in parts) == [("g",), ("i", "f", "h", "e")]


def test_a_micro_batch_holds_so_many_tokens():
    engine = FastEngine()
    engine.rows = True
    engine.longest = 100
    sizes = [[len(example.input_ids) for example in part] for part in engine.parts(MANY, 2, 18)]
    assert sizes == [[15, 19], [3, 17], [21]]
    engine.rows = False
    padded = [[len(example.input_ids) for example in part] for part in engine.parts(MANY, 2, 18)]
    assert padded == [[21], [19], [17, 15], [3]]


def test_a_pace_halves_then_checkpoints_and_then_has_nothing_left():
    pace = Pace(micro_batch=5, longest=64, may_checkpoint=True)
    assert [pace.lower(step) for step in (3, 3, 7, 7)] == [True, True, True, False]
    assert (pace.micro_batch, pace.checkpointing) == (1, True)
    assert [one["micro_batch"] for one in pace.deviations] == [2, 1, 1]
    assert [one["step"] for one in pace.deviations] == [3, 3, 7]
    assert not Pace(micro_batch=1, longest=64).lower(1)
