import math
from types import SimpleNamespace

import pytest
import torch

from grads.data.records.formatting import Example
from grads.runtime.errors import GradsError
from grads.training import trainer as trainer_module
from grads.training.trainer import IGNORED, ProgressLines, ResponseTrainer, Watch, collate

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


def loss_of(model, examples, items):
    trainer = object.__new__(ResponseTrainer)
    trainer.precision = "float32"
    return trainer.compute_loss(model, collate(examples, padding=0), num_items_in_batch=items)


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
    assert loss_of(model, [EXAMPLES[0], conversation], items=7).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_is_that_of_transformers(model):
    batch = collate(EXAMPLES, padding=0)
    expected = model(**batch, attention_mask=torch.ones_like(batch["input_ids"])).loss
    assert loss_of(model, EXAMPLES, items=8).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_does_not_depend_on_the_micro_batch(model):
    def gradients(parts):
        model.zero_grad()
        for part in parts:
            loss_of(model, part, items=8).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = gradients([EXAMPLES])
    parts = gradients([EXAMPLES[:1], EXAMPLES[1:]])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-6)


def test_padding_on_the_right_is_no_part_of_the_loss(model):
    """Whatever token fills the batch, the loss is that of the examples alone."""
    alone = [loss_of(model, [example], items=8).item() for example in EXAMPLES]
    for padding in (0, 5, 30):
        trainer = object.__new__(ResponseTrainer)
        trainer.precision = "float32"
        together = trainer.compute_loss(model, collate(EXAMPLES, padding), num_items_in_batch=8)
        assert together.item() == pytest.approx(sum(alone), rel=1e-5)


def test_a_truncated_response_has_no_end_to_learn():
    batch = collate([Example("a", [5, 6, 7, 8], 2, truncated=True)], padding=0)
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, 8]]


@pytest.mark.parametrize("global_batch", [1, 3, 4])
def test_before_each_step_its_own_examples_are_shown_and_after_it_the_model(global_batch):
    visits = [Example(f"{n}", [1, 2], 1) for n in range(10)]
    seen = []
    ended = []
    observer = SimpleNamespace(
        before_step=lambda model, examples: seen.append((model, [e.id for e in examples])),
        after_step=lambda *given: ended.append(given),
    )
    watch, steps = Watch(visits, global_batch, observer), -(-10 // global_batch)
    for step in range(steps):
        watch.on_step_begin(None, SimpleNamespace(global_step=step), None, model="the model", processing_class=None)
        watch.on_step_end(None, SimpleNamespace(global_step=step + 1, max_steps=steps), None, model="the model")
    assert ended == [("the model", step + 1, steps) for step in range(steps)]
    assert [id_ for _, ids in seen for id_ in ids] == [e.id for e in visits]
    assert [len(ids) for _, ids in seen[:-1]] == [global_batch] * (steps - 1)
    assert {name for name, _ in seen} == {"the model"}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = [50.0]
    monkeypatch.setattr(trainer_module.time, "monotonic", lambda: now[0])
    return now


def test_seconds_of_earlier_attempts_count_up_to_their_last_checkpoint(clock, tmp_path):
    first = ProgressLines("a run", tmp_path / "seconds.json")
    clock[0] += 30
    state = SimpleNamespace(global_step=3)
    first.on_save(None, state, None)
    clock[0] += 100  # Killed here: these are lost, and done again.
    second = ProgressLines("a run", tmp_path / "seconds.json")
    assert second.seconds == 30
    clock[0] += 12
    assert second.seconds == 42
    second.on_save(None, state, None)
    assert ProgressLines("a run", tmp_path / "seconds.json").seconds == 42


def test_a_resumed_run_counts_the_steps_that_are_left(clock, tmp_path, capsys):
    lines = ProgressLines("a run", tmp_path / "seconds.json")
    lines.on_train_begin(None, SimpleNamespace(max_steps=25, global_step=22), None)
    for _ in range(3):
        clock[0] += 2
        lines.on_step_end(None, None, None)
    assert capsys.readouterr().err.splitlines()[-1] == "a run: 3/3 steps, 0.5/s, in 6 s"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_the_step(monkeypatch, loss):
    monkeypatch.setattr(trainer_module.Trainer, "training_step", lambda self, *arguments: torch.tensor(loss))
    trainer = object.__new__(ResponseTrainer)
    trainer.state = SimpleNamespace(global_step=4, max_steps=9)
    with pytest.raises(GradsError, match=rf"diverged at step 5 of 9 \(loss {loss}\): lower training\.learning_rate"):
        trainer.training_step(None, None)


def test_examples_come_in_the_order_of_the_data():
    trainer = object.__new__(ResponseTrainer)
    trainer.train_dataset = list("cab")
    assert list(trainer._get_train_sampler()) == [0, 1, 2]
    assert list(trainer._get_train_sampler(list("dc"))) == [0, 1]


def test_bf16_is_the_matrices_and_the_loss_stays_float32(model):
    trainer = object.__new__(ResponseTrainer)
    trainer.precision = "bf16"
    batch = collate(EXAMPLES, padding=0)
    rough = trainer.compute_loss(model, batch, num_items_in_batch=8)
    exact = loss_of(model, EXAMPLES, items=8)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=1e-2)
    assert rough.item() != exact.item()


def test_algorithms_that_give_the_same_are_asked_for_on_a_gpu_and_while_training(monkeypatch):
    for kind in ("cpu", "cuda"):
        monkeypatch.setattr(trainer_module, "device", lambda kind=kind: torch.device(kind))
        with trainer_module.deterministic():
            assert torch.are_deterministic_algorithms_enabled() == (kind == "cuda")
            assert torch.is_deterministic_algorithms_warn_only_enabled() == (kind == "cuda")
        assert not torch.are_deterministic_algorithms_enabled()
