"""Probe and train a tiny model on the device that is there, and write what came out as JSON.

measure.py MODEL_FOLDER WORKING_FOLDER PRECISION; run once with CUDA_VISIBLE_DEVICES empty and once without.
"""

import json
import sys
from pathlib import Path

from grads.data.formatting import Formatter
from grads.data.records import make_record, write_records
from grads.models.device import device
from grads.models.load import load_model, load_tokenizer
from grads.probe.measure import measure
from grads.study.config import Adapter, Format, Training
from grads.train.stage import TrainingCell, train_cells

RECORDS = [make_record(f"Define the term {i}.", "", f"meaning number {i} " * (1 + i % 3)) for i in range(16)]


def main(model_folder: Path, folder: Path, precision: str) -> None:
    tokenizer = load_tokenizer(model_folder)
    examples = Formatter(tokenizer, Format()).tokenize(RECORDS, 256, "drop").examples
    model = load_model(model_folder, precision)
    columns = measure(model, examples, ["gradients"], 512, tokenizer.pad_token_id).columns
    rows = [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]
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
    train_cells([cell], model_folder, Format(), training, micro_batch_limit=4)
    curve = json.loads(cell.summary.read_text(encoding="utf-8"))["curve"]
    found = {"device": device().type, "statistics": rows, "curve": curve}
    (folder / "measured.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
