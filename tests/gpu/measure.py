"""Probe and train a tiny model on the device that is there, and write what came out.

measure.py MODEL_FOLDER WORKING_FOLDER PRECISION; run once with CUDA_VISIBLE_DEVICES empty and once without. It writes
`measured.json`, and the stores `base` (signals of the untrained weights, and all of an adapter), `shard0` and `shard1`
(the same in two shards) and `shards` (these, joined).
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.training import Adapter, Training
from grads.data.records.record import make_record, write_records
from grads.models.device import device
from grads.probing.run import Task, probe_model
from grads.probing.shards import join_shards
from grads.runtime.libraries import settle_libraries
from grads.training.run import TrainingCell, train_cells

RECORDS = [make_record(f"Define the term {i}.", "", f"meaning number {i} " * (1 + i % 3)) for i in range(16)]
SIGNALS = [
    "gradients",
    "adapter",
    "mean_abs",
    "prompt",
    "el2n",
    "unconditional",
    "hidden",
    "embeddings",
    "sgd_features",
]


def probe(model_folder: Path, folder: Path, training: Training) -> None:
    """Write the stores."""
    settings = Probe(token_budget=512, precision=training.precision)
    files = (model_folder, folder / "train.parquet", Format(), training, folder / "base", "base", SIGNALS, settings)
    task = Task(*files, scratch=folder / "scratch-probe", adapter_seed=1)
    probe_model(task)
    shards = [replace(task, out=folder / f"shard{number}", shard=(number, 2)) for number in range(2)]
    for shard in shards:
        probe_model(shard)
    join_shards([shard.out for shard in shards], folder / "shards")


def main(model_folder: Path, folder: Path, precision: str) -> None:
    write_records(folder / "train.parquet", RECORDS)
    cell = TrainingCell(
        label="gpu test",
        records=folder / "train.parquet",
        kept=None,
        trained=folder / "adapter",
        summary=folder / "training.json",
        scratch=folder / "scratch",
        initialisation_seed=1,
        order_seed=2,
    )
    training = Training(
        epochs=1,
        global_batch=8,
        learning_rate=1.0e-3,
        warmup=0.0,
        max_length=256,
        precision=precision,
        adapter=Adapter(rank=4, alpha=8.0),
    )
    probe(model_folder, folder, training)
    train_cells([cell], model_folder, Format(), training, micro_batch_limit=4)
    curve = json.loads(cell.summary.read_text(encoding="utf-8"))["curve"]
    (folder / "measured.json").write_text(json.dumps({"device": device().type, "curve": curve}), encoding="utf-8")


if __name__ == "__main__":
    settle_libraries()
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
