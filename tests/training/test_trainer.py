import math
from types import SimpleNamespace

import pytest
import torch

from grads.data.records.formatting import Example
from grads.runtime.errors import GradsError
from grads.training import trainer as trainer_module
from grads.training.trainer import ProgressLines, ResponseTrainer, Watch


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
        watch.on_step_end(
            None, SimpleNamespace(global_step=step + 1, max_steps=steps), None, model="the model", optimizer="Adam"
        )
    assert ended == [("the model", step + 1, steps, "Adam") for step in range(steps)]
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
def test_a_loss_that_is_no_number_names_the_step(loss):
    trainer = object.__new__(ResponseTrainer)
    trainer.state = SimpleNamespace(global_step=5, max_steps=9)
    with pytest.raises(GradsError, match=rf"diverged at step 5 of 9 \(loss {loss}\): lower training\.learning_rate"):
        trainer.log({"loss": loss})


def test_examples_come_in_the_order_of_the_data():
    trainer = object.__new__(ResponseTrainer)
    trainer.train_dataset = list("cab")
    assert list(trainer._get_train_sampler()) == [0, 1, 2]
    assert list(trainer._get_train_sampler(list("dc"))) == [0, 1]


def test_algorithms_that_give_the_same_are_asked_for_on_a_gpu_and_while_training(monkeypatch):
    for kind in ("cpu", "cuda"):
        monkeypatch.setattr(trainer_module, "device", lambda kind=kind: torch.device(kind))
        with trainer_module.deterministic():
            assert torch.are_deterministic_algorithms_enabled() == (kind == "cuda")
            assert torch.is_deterministic_algorithms_warn_only_enabled() == (kind == "cuda")
        assert not torch.are_deterministic_algorithms_enabled()
