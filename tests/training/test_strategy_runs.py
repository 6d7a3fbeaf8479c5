"""Whole runs with a strategy, on a tiny model."""

import json

import pandas as pd
import pytest
import torch

from grads.config.models import Format
from grads.config.probe import Probe
from grads.data.records.record import load_records
from grads.probing.run import Task, probe_model
from grads.runtime.files import read_json
from grads.signals.store import read_store
from grads.training import run as module

from .conftest import TRAINING, cell, same, train


@pytest.fixture
def store(tmp_path, records, tiny_model_folder):
    """The base store, with each token's loss."""
    probe = Probe(token_budget=300, precision="float32")
    probe_model(
        Task(
            model=tiny_model_folder,
            records=records,
            form=Format(),
            training=TRAINING,
            out=tmp_path / "base",
            point="base",
            measures=["token_losses"],
            probe=probe,
            scratch=tmp_path / "probing",
        )
    )
    return read_store(tmp_path / "base")


def test_all_weights_of_one_are_plain_training_to_the_bit(tmp_path, records, tiny_model_folder):
    ids = [record.id for record in load_records(records)]
    pd.DataFrame({"id": ids, "kept": True, "weight": 1.0}).to_parquet(tmp_path / "ones.parquet")
    plain = cell(tmp_path, records, "plain", epochs=1)
    ones = cell(tmp_path, records, "ones", epochs=1, strategy="weighted", kept=tmp_path / "ones.parquet")
    train(tiny_model_folder, plain, ones)
    assert same(plain, ones)
    curves = [read_json(run.summary)["curve"] for run in (plain, ones)]
    assert curves[0] == curves[1]
    assert read_json(ones.summary)["notes"]["distinct_weights"] == 1


def test_weights_change_what_is_learnt(tmp_path, records, tiny_model_folder):
    ids = [record.id for record in load_records(records)]
    table = {"id": ids, "kept": True, "weight": [0.2 if i % 2 else 1.8 for i in range(50)]}
    pd.DataFrame(table).to_parquet(tmp_path / "mixed.parquet")
    plain = cell(tmp_path, records, "plain", epochs=1)
    mixed = cell(tmp_path, records, "mixed", epochs=1, strategy="weighted", kept=tmp_path / "mixed.parquet")
    train(tiny_model_folder, plain, mixed)
    assert not same(plain, mixed)


def test_a_killed_run_with_a_strategy_resumes_to_the_same_weights(
    tmp_path, records, store, tiny_model_folder, monkeypatch
):
    # A tiny random model finds no token likely: half of them are masked at its median.
    threshold = float(torch.tensor([loss for row in store.token_losses() for loss in row]).median().exp())
    masked = {"strategy": "stm", "strategy_parameters": {"threshold": threshold}, "stores": {"base": store}}
    clean, killed = (cell(tmp_path, records, name, match="tokens", **masked) for name in ("clean", "killed"))
    train(tiny_model_folder, clean)
    original = module.ResponseTrainer.training_step

    def step(self, *arguments):
        if self.state.global_step == 22:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(module.ResponseTrainer, "training_step", step)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model_folder, killed)
    steps = []
    monkeypatch.setattr(
        module.ResponseTrainer,
        "training_step",
        lambda self, *a: (steps.append(self.state.global_step), original(self, *a))[1],
    )
    train(tiny_model_folder, killed)
    assert steps[0] == 20
    assert same(clean, killed)
    summary = read_json(clean.summary)
    assert (summary["strategy"], summary["match"]) == ("stm", "tokens")
    assert 0.4 < summary["notes"]["masked_tokens"] / summary["notes"]["response_tokens"] < 0.6
    assert summary["epochs"] >= 2


def test_another_strategy_does_not_resume_from_its_checkpoints(tmp_path, records, tiny_model_folder, monkeypatch):
    original = module.ResponseTrainer.training_step

    def step(self, *arguments):
        if self.state.global_step == 22:
            raise KeyboardInterrupt
        return original(self, *arguments)

    run = cell(tmp_path, records, "run")
    monkeypatch.setattr(module.ResponseTrainer, "training_step", step)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model_folder, run)
    monkeypatch.setattr(module.ResponseTrainer, "training_step", original)
    low = cell(tmp_path, records, "run", strategy="low_lr")
    train(tiny_model_folder, low)
    rates = [entry["learning_rate"] for entry in read_json(low.summary)["curve"]]
    assert max(rates) == pytest.approx(1e-3)
    assert len(rates) == 25


def test_dropout_is_that_of_the_strategy_also_where_training_goes_on(tmp_path, records, tiny_model_folder):
    warm = cell(tmp_path, records, "warm", epochs=1)
    fresh = cell(tmp_path, records, "fresh", epochs=1, strategy="dropout", strategy_parameters={"rate": 0.4})
    train(tiny_model_folder, warm, fresh)
    on = cell(
        tmp_path, records, "on", epochs=1, start=warm.trained, strategy="dropout", strategy_parameters={"rate": 0.3}
    )
    train(tiny_model_folder, on)
    found = [json.loads((run.trained / "adapter_config.json").read_text())["lora_dropout"] for run in (warm, fresh, on)]
    assert found == [0.1, 0.4, 0.3]
