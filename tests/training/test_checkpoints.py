"""Runs that were stopped: what they go on from, and that they end as if they had not been."""

import pytest
import torch

from grads.data.records.record import Turn, make_record, write_records
from grads.models.moments import load_moments
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.training import run as module
from grads.training.checkpoints import NOTE, last_checkpoint, note_shortage, resume
from grads.training.step import Step

from .conftest import TRAINING, cell, same, train

STEP = module.ResponseTrainer.training_step


@pytest.fixture
def stopped(monkeypatch):
    """Train a cell until a step, where it is interrupted or fails."""

    def until(step, model, run, error=KeyboardInterrupt, expected=KeyboardInterrupt, **options):
        def once(self, *arguments):
            if self.state.global_step == step:
                raise error
            return STEP(self, *arguments)

        monkeypatch.setattr(module.ResponseTrainer, "training_step", once)
        with pytest.raises(expected) as caught:
            train(model, run, **options)
        monkeypatch.setattr(module.ResponseTrainer, "training_step", STEP)
        assert not run.trained.exists()
        return caught.value

    return until


@pytest.fixture
def steps(monkeypatch):
    """The steps that are taken, one for each micro-batch."""
    taken = []

    def step(self, *arguments):
        taken.append(self.state.global_step)
        return STEP(self, *arguments)

    def noted():
        monkeypatch.setattr(module.ResponseTrainer, "training_step", step)
        return taken

    return noted


def scratch_of(tmp_path, name):
    (state,) = (tmp_path / "scratch" / name).iterdir()
    return state


def test_a_killed_run_resumes_to_the_same(tmp_path, records, tiny_model_folder, stopped, steps):
    clean, killed = (
        cell(tmp_path, records, name, moments=tmp_path / name / "moments.safetensors") for name in ("clean", "killed")
    )
    train(tiny_model_folder, clean)
    stopped(22, tiny_model_folder, killed)
    state = scratch_of(tmp_path, "killed")
    assert [path.name for path in state.glob("checkpoint-*")] == ["checkpoint-20"]
    # A checkpoint that the kill left half written is not used.
    (state / "checkpoint-21").mkdir()
    taken = steps()
    train(tiny_model_folder, killed)
    assert taken[0] == 20
    assert same(clean, killed)
    curves = [[(e["step"], e["loss"]) for e in read_json(run.summary)["curve"]] for run in (clean, killed)]
    assert curves[0] == curves[1]
    moments = [load_moments(run.moments) for run in (clean, killed)]
    assert moments[0].steps == moments[1].steps == 25
    for kind in ("average", "average_squared"):
        found, again = (getattr(each, kind) for each in moments)
        assert found.keys() == again.keys()
        assert all(torch.equal(found[name], again[name]) for name in found)


def test_another_mask_of_the_same_records_begins_again(tmp_path, tiny_model_folder, stopped):
    """Which earlier answers carry loss is in no id."""
    files = {}
    for loss in (False, True):
        turns = [(Turn("user", f"First {i}?"), Turn("assistant", f"so {i}", loss)) for i in range(50)]
        files[loss] = tmp_path / f"{loss}.parquet"
        write_records(files[loss], [make_record(f"And {i}?", "", f"so be {i}", turns=t) for i, t in enumerate(turns)])
    clean, killed = cell(tmp_path, files[True], "clean"), cell(tmp_path, files[False], "killed")
    train(tiny_model_folder, clean)
    stopped(22, tiny_model_folder, killed)
    again = cell(tmp_path, files[True], "killed")
    train(tiny_model_folder, again)
    assert same(clean, again)
    assert read_json(clean.summary)["curve"] == read_json(again.summary)["curve"]


def test_a_retry_goes_on_in_the_micro_batches_that_it_began_with(tmp_path, records, tiny_model_folder, stopped, steps):
    clean, killed = cell(tmp_path, records, "clean"), cell(tmp_path, records, "killed")
    train(tiny_model_folder, clean, micro_batch=4)
    stopped(22, tiny_model_folder, killed, micro_batch=4)
    taken = steps()
    train(tiny_model_folder, killed, micro_batch=2)
    assert taken == [20, 21, 22, 23, 24]
    assert read_json(killed.summary)["micro_batch"] == 4
    assert same(clean, killed)


def test_a_run_without_a_checkpoint_begins_with_the_micro_batch_that_is_asked_for(
    tmp_path, records, tiny_model_folder, stopped
):
    clean, killed = cell(tmp_path, records, "clean"), cell(tmp_path, records, "killed")
    train(tiny_model_folder, clean, micro_batch=2)
    stopped(12, tiny_model_folder, killed, micro_batch=4)
    train(tiny_model_folder, killed, micro_batch=2)
    assert read_json(killed.summary)["micro_batch"] == 2
    assert same(clean, killed)


@pytest.fixture
def scarce(monkeypatch):
    """Let memory run out in a step, whenever more records than so many share a pass or nothing is computed again."""
    original = Step.add_gradient

    def until(most, step, error, checkpointing=True):
        seen = []

        def add_gradient(self, model, examples):
            seen.append((self.pace.micro_batch, self.pace.checkpointing))
            loss = original(self, model, examples)
            enough = self.pace.micro_batch <= most and self.pace.checkpointing >= checkpointing
            if len(seen) > step and not enough:
                raise error
            return loss

        monkeypatch.setattr(Step, "add_gradient", add_gradient)
        return seen

    return until


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()], ids=["gpu", "cpu"]
)
def test_where_memory_runs_out_a_run_goes_on_with_less(tmp_path, records, tiny_model_folder, scarce, error):
    clean, run = cell(tmp_path, records, "clean"), cell(tmp_path, records, "run")
    train(tiny_model_folder, clean, micro_batch=4)
    seen = scarce(1, 3, error, checkpointing=False)
    train(tiny_model_folder, run, micro_batch=4)
    assert seen[:7] == [(4, False)] * 4 + [(2, False), (1, False), (1, False)]
    summary = read_json(run.summary)
    assert summary["micro_batch"] == 1
    assert [one["step"] for one in summary["deviations"]] == [4, 4]
    assert read_json(clean.summary)["deviations"] == []
    # The step begins again from nothing, with the dropout that it had: the same up to rounding in its first part.
    losses = [[entry["loss"] for entry in read_json(one.summary)["curve"]][:3] for one in (clean, run)]
    assert losses[0] == losses[1]
    assert len(summary["curve"]) == 25


def test_checkpointing_is_the_last_resort(tmp_path, records, tiny_model_folder, scarce):
    run = cell(tmp_path, records)
    seen = scarce(1, 0, MemoryError())
    train(tiny_model_folder, run, micro_batch=2)
    assert seen[:3] == [(2, False), (1, False), (1, True)]
    assert read_json(run.summary)["checkpointing"]


def test_memory_that_does_not_suffice_for_one_record_is_a_sentence(tmp_path, records, tiny_model_folder, scarce):
    scarce(0, 0, MemoryError())
    with pytest.raises(GradsError, match=r"one record at a time: lower training\.max_length"):
        train(tiny_model_folder, cell(tmp_path, records))
    never = TRAINING.model_copy(update={"checkpointing": "never"})
    with pytest.raises(GradsError, match=r"one record at a time: set training\.checkpointing to auto"):
        train(tiny_model_folder, cell(tmp_path, records, "never"), training=never)


def test_a_bug_is_no_shortage(tmp_path, records, tiny_model_folder, stopped):
    bug = stopped(0, tiny_model_folder, cell(tmp_path, records), RuntimeError("a bug"), RuntimeError)
    assert not isinstance(bug, GradsError)


def test_a_run_that_lacked_memory_goes_on_with_less_after_a_stop(tmp_path, records, tiny_model_folder, scarce, stopped):
    run = cell(tmp_path, records)
    scarce(2, 5, MemoryError(), checkpointing=False)
    stopped(22, tiny_model_folder, run, micro_batch=4)
    train(tiny_model_folder, run, micro_batch=4)
    summary = read_json(run.summary)
    assert (summary["micro_batch"], summary["steps"]) == (2, 25)


def checkpoint(folder, step, content="{}"):
    (folder / f"checkpoint-{step}").mkdir()
    if content is not None:
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(content)


def test_a_run_that_gets_no_further_begins_again_with_less(tmp_path):
    assert resume(tmp_path, 8) == (8, None)
    checkpoint(tmp_path, 20)
    (tmp_path / "trajectory").touch()
    first = (8, tmp_path / "checkpoint-20")
    assert resume(tmp_path, 4) == first
    # Killed again, before the next checkpoint: the same is tried once more only if that is asked for.
    assert resume(tmp_path, 8) == first
    checkpoint(tmp_path, 40)
    assert resume(tmp_path, 4) == (8, tmp_path / "checkpoint-40")
    assert resume(tmp_path, 2) == (2, None)
    assert [path.name for path in tmp_path.iterdir()] == [NOTE]


def test_a_shortage_is_noted_at_the_last_checkpoint(tmp_path):
    assert resume(tmp_path, 8) == (8, None)
    note_shortage(tmp_path)
    (tmp_path / "seen").touch()
    assert resume(tmp_path, 8) == (8, None)
    assert (tmp_path / "seen").exists()
    checkpoint(tmp_path, 20)
    note_shortage(tmp_path)
    assert resume(tmp_path, 8) == (8, tmp_path / "checkpoint-20")
    assert resume(tmp_path, 4) == (4, None)
    assert not (tmp_path / "seen").exists()


def test_the_newest_checkpoint_is_that_of_the_highest_step(tmp_path):
    assert last_checkpoint(tmp_path) is None
    for step in (20, 100, 40):
        checkpoint(tmp_path, step)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("content", [None, "", '{"global_step": 6'])
def test_checkpoints_that_are_not_whole_are_removed_and_the_one_before_is_taken(tmp_path, content):
    checkpoint(tmp_path, 20)
    checkpoint(tmp_path, 40, content)
    checkpoint(tmp_path, 60, content)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-20"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-20"]
    (tmp_path / "checkpoint-20" / "trainer_state.json").unlink()
    assert last_checkpoint(tmp_path) is None
