import json
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from grads.config.training import Adapter
from grads.data.records.formatting import Example
from grads.data.records.record import make_record, write_records
from grads.models.load import load_model
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.training import run as module
from grads.training.cell import Base
from grads.training.step import Pace

from .conftest import TRAINING, cell, train, weights


def test_a_run_leaves_an_adapter_and_its_curve(tmp_path, records, tiny_model_folder):
    run = cell(tmp_path, records)
    train(tiny_model_folder, run)
    summary = read_json(run.summary)
    assert summary["records"] == 50
    assert summary["visits"] == 100
    assert summary["steps"] == len(summary["curve"]) == 25
    assert summary["curve"][-1]["loss"] < summary["curve"][0]["loss"]
    # One of 25 steps is warm-up at 0.05, and the cosine ends near 0.
    rates = [entry["learning_rate"] for entry in summary["curve"]]
    assert rates[0] == 0
    assert max(rates) == rates[1] == pytest.approx(1e-2)
    assert rates[-1] < 1e-3
    assert all(value.dtype == torch.float32 for value in weights(run).values())
    assert not (tmp_path / "scratch" / "a").exists()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["adapter", "training.json"]


def test_an_adapter_names_the_model_that_was_given_and_is_loaded_without_it(tmp_path, records, tiny_model_folder):
    named = cell(tmp_path, records, epochs=1, base=Base("owner/name", "0123abc"))
    # Started from one that was trained on another copy of the model.
    local = cell(tmp_path, records, "b", epochs=1, base=Base("/models/tiny"), start=named.trained)
    train(tiny_model_folder, named, local)
    first, second = (read_json(run.trained / "adapter_config.json") for run in (named, local))
    assert (first["base_model_name_or_path"], first["revision"]) == ("owner/name", "0123abc")
    assert (second["base_model_name_or_path"], second["revision"]) == ("/models/tiny", None)
    # A set of names has another order in each process.
    assert first["target_modules"] == sorted(first["target_modules"])
    for run in (named, local):
        load_model(tiny_model_folder, "float32", run.trained)


def test_the_same_cell_gives_the_same_weights_and_another_seed_does_not(tmp_path, records, tiny_model_folder):
    runs = [cell(tmp_path, records, "a"), cell(tmp_path, records, "b"), cell(tmp_path, records, "c", order_seed=3)]
    train(tiny_model_folder, *runs)
    a, b, c = (weights(run) for run in runs)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_only_kept_records_are_trained_on(tmp_path, records, tiny_model_folder):
    ids = pd.read_parquet(records)["id"]
    pd.DataFrame({"id": ids, "kept": [i % 10 == 0 for i in range(50)]}).to_parquet(tmp_path / "kept.parquet")
    run = cell(tmp_path, records, kept=tmp_path / "kept.parquet", epochs=1)
    train(tiny_model_folder, run)
    summary = read_json(run.summary)
    assert (summary["records"], summary["epochs"], summary["steps"]) == (5, 1, 2)


def test_all_weights_can_be_trained(tmp_path, records, tiny_model_folder):
    run = cell(tmp_path, records)
    full = TRAINING.model_copy(update={"weights": "full", "learning_rate": 1.0e-3, "precision": "bf16"})
    train(tiny_model_folder, run, training=full)
    assert (run.trained / "config.json").is_file()
    assert all(value.dtype == torch.float32 for value in weights(run).values())


def test_divergence_stops_with_a_sentence(tmp_path, records, tiny_model_folder):
    wild = TRAINING.model_copy(update={"weights": "full", "learning_rate": 1.0e30, "warmup": 0.0})
    with pytest.raises(GradsError, match=r"diverged at step \d+ of 25 .*lower training.learning_rate"):
        train(tiny_model_folder, cell(tmp_path, records), training=wild)


def test_a_run_that_changes_nothing_is_refused(tmp_path, records, tiny_model_folder):
    idle = TRAINING.model_copy(update={"learning_rate": 1.0e-45})
    run = cell(tmp_path, records)
    with pytest.raises(GradsError, match="do not change the logits"):
        train(tiny_model_folder, run, training=idle)
    assert not run.trained.exists()


def test_unknown_layers_are_named(tmp_path, records, tiny_model_folder):
    wrong = TRAINING.model_copy(update={"adapter": Adapter(targets=["q_prj"])})
    with pytest.raises(GradsError, match=r"training\.adapter\.targets: .*q_prj"):
        train(tiny_model_folder, cell(tmp_path, records), training=wrong)


def test_nothing_to_train_on_is_said(tmp_path, records, tiny_model_folder):
    short = TRAINING.model_copy(update={"max_length": 8})
    with pytest.raises(GradsError, match="there is no record to train on"):
        train(tiny_model_folder, cell(tmp_path, records), training=short)


@pytest.mark.parametrize(
    ("visits", "whole", "warmup", "steps", "rising", "every"),
    [
        (100, 4, 0.05, 25, 1, 20),
        (101, 4, 0.05, 26, 1, 20),
        (12, 4, 0.3, 3, 0, 20),
        (4000, 8, 0.1, 500, 50, 100),
        (4001, 8, 0.1, 501, 50, 101),
    ],
)
def test_a_schedule_of_whole_steps(tmp_path, visits, whole, warmup, steps, rising, every):
    training = TRAINING.model_copy(update={"global_batch": whole, "warmup": warmup})
    found = module._arguments(training, visits, steps, "adamw_torch_fused", tmp_path, seed=7)
    assert (found.per_device_train_batch_size, found.gradient_accumulation_steps) == (whole, 1)
    # A warm-up is rounded down, and a run has at most five checkpoints, none of fewer than twenty steps.
    assert (-(-visits // whole), found.warmup_steps, found.save_steps) == (steps, rising, every)
    assert (found.seed, found.data_seed, found.num_train_epochs, found.logging_steps) == (7, 7, 1, 1)
    assert (found.learning_rate, found.max_grad_norm, found.weight_decay) == (1e-2, 1.0, 0.0)
    assert found.lr_scheduler_type == "cosine"
    assert found.report_to == []
    # The trainer's loss has an autocast of its own, which keeps the adapter in float32.
    assert not any((found.bf16, found.fp16))


def test_the_micro_batch_does_not_change_what_is_learnt(tmp_path, tiny_model_folder):
    """Without dropout, whose random numbers follow the batches: the loss and the gradient are those of the whole."""
    records = tmp_path / "few.parquet"
    write_records(records, [make_record(f"Define {i}.", "", "it is" + " so" * i) for i in range(14)])
    plain = TRAINING.model_copy(update={"adapter": Adapter(rank=2), "epochs": 1, "learning_rate": 1.0e-3})
    runs = {size: cell(tmp_path, records, f"by-{size}") for size in (1, 4)}
    for size, run in runs.items():
        train(tiny_model_folder, run, training=plain, micro_batch=size)
    one, whole = (read_json(run.summary) for run in runs.values())
    assert (one["micro_batch"], whole["micro_batch"]) == (1, 4)
    assert one.keys() == whole.keys()
    for name in ("loss", "grad_norm", "learning_rate"):
        assert [e[name] for e in one["curve"]] == pytest.approx([e[name] for e in whole["curve"]], rel=1e-3)
    a, b = (weights(run) for run in runs.values())
    assert all(torch.allclose(a[name], b[name], rtol=1e-2, atol=1e-4) for name in a)


@pytest.mark.parametrize("changes", [{}, {"weights": "full", "learning_rate": 1.0e-4}], ids=["adapter", "weights"])
def test_both_engines_train_to_the_same(tmp_path, records, tiny_model_folder, changes):
    update = {"adapter": Adapter(rank=2), "epochs": 1, "learning_rate": 1.0e-3} | changes
    runs = {}
    for engine in ("fast", "reference"):
        runs[engine] = cell(tmp_path, records, engine)
        train(tiny_model_folder, runs[engine], training=TRAINING.model_copy(update=update | {"engine": engine}))
    fast, reference = (read_json(run.summary) for run in runs.values())
    assert (fast["engine"], fast["rows"], reference["engine"]) == ("fast", True, "reference")
    for name in ("loss", "grad_norm", "learning_rate"):
        assert [e[name] for e in fast["curve"]] == pytest.approx([e[name] for e in reference["curve"]], rel=1e-3)
    a, b = (weights(run) for run in runs.values())
    assert all(torch.allclose(a[name], b[name], rtol=1e-2, atol=1e-4) for name in a)


def test_checkpointing_changes_memory_and_not_what_is_learnt(tmp_path, records, tiny_model_folder):
    runs = {}
    for choice in ("never", "always"):
        runs[choice] = cell(tmp_path, records, choice)
        train(tiny_model_folder, runs[choice], training=TRAINING.model_copy(update={"checkpointing": choice}))
    assert [read_json(run.summary)["checkpointing"] for run in runs.values()] == [False, True]
    a, b = (weights(run) for run in runs.values())
    assert all(torch.allclose(a[name], b[name], rtol=1e-4, atol=1e-6) for name in a)


def test_the_summary_counts_visits_and_not_records():
    visits = [Example("a", [1, 2, 3, 4], 1), Example("b", [1, 2], 1), Example("a", [1, 2, 3, 4], 1)]
    entry = {"loss": 1.5, "grad_norm": 0.1, "learning_rate": 0.0, "epoch": 0.1}
    history = [entry | {"step": 1}, entry | {"step": 2, "loss": 1.25}]
    found = module._summary(["a", "b", "a"], visits, history, TRAINING, Pace(2, 64), 1.23456)
    assert (found["records"], found["visits"], found["steps"]) == (2, 3, 2)
    assert (found["tokens"], found["response_tokens"]) == (10, 7)
    assert (found["final_loss"], found["seconds"], found["micro_batch"]) == (1.25, 1.235, 2)
    assert set(found["curve"][0]) == {"step", "loss", "grad_norm", "learning_rate"}


def test_several_gpus_are_refused():
    with pytest.raises(GradsError, match="sees 2 GPUs and trains on one: set CUDA_VISIBLE_DEVICES"):
        module._alone(SimpleNamespace(n_gpu=2))


def test_records_beyond_the_models_context_are_refused(tiny_model_folder, records, tmp_path):
    folder = tmp_path / "short"
    shutil.copytree(tiny_model_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 48}))
    with pytest.raises(GradsError, match=r"tokens and the model's context 48: set training\.max_length"):
        train(folder, cell(tmp_path, records))
    assert not (tmp_path / "a").exists()
