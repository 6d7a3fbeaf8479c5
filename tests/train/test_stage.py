import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from grads.data.records import make_record, write_records
from grads.models.moments import load_moments
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.study.config import Adapter, Format, Training
from grads.train import stage
from grads.train.stage import TrainingCell, train_cells

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


def test_a_killed_run_resumes_to_the_same_weights(tmp_path, records, tiny_model_folder, monkeypatch):
    clean, killed = (
        cell(tmp_path, records, name, moments=tmp_path / name / "moments.safetensors") for name in ("clean", "killed")
    )
    train(tiny_model_folder, clean)

    original = stage.ResponseTrainer.training_step

    def step(self, *arguments):
        if self.state.global_step == 22:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(stage.ResponseTrainer, "training_step", step)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model_folder, killed)
    assert not killed.trained.exists()
    state = next((tmp_path / "scratch" / "killed").iterdir())
    assert [path.name for path in state.glob("checkpoint-*")] == ["checkpoint-20"]
    # A checkpoint that the kill left half written is not used.
    (state / "checkpoint-21").mkdir()

    steps = []
    monkeypatch.setattr(
        stage.ResponseTrainer,
        "training_step",
        lambda self, *a: (steps.append(self.state.global_step), original(self, *a))[1],
    )
    train(tiny_model_folder, killed)
    assert steps[0] == 20
    expected, resumed = weights(clean), weights(killed)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    curves = [[(e["step"], e["loss"]) for e in read_json(run.summary)["curve"]] for run in (clean, killed)]
    assert curves[0] == curves[1]
    moments = [load_moments(run.moments) for run in (clean, killed)]
    assert moments[0].steps == moments[1].steps == 25
    for kind in ("average", "average_squared"):
        found, again = (getattr(each, kind) for each in moments)
        assert found.keys() == again.keys()
        assert all(torch.equal(found[name], again[name]) for name in found)


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
