"""No product that training makes, or a probe during it, kills a process on a processor with AMX."""

from pathlib import Path
from typing import Any

import pytest

from grads.config.probe import Probe
from grads.config.training import Adapter, Training
from grads.data.records.record import make_record, write_records
from grads.probing.during import During

from . import conftest

VOCABULARY = 49_152
TRAINING = Training(
    epochs=1, global_batch=1, learning_rate=1.0e-3, max_length=256, precision="bf16", adapter=Adapter(rank=2)
)  # fmt: skip


@pytest.mark.parametrize("weights", ["lora", "full"])
def test_of_a_short_run(tmp_path: Path, long_model_folder: Path, watched_products: Any, weights: Any) -> None:
    records = tmp_path / "train.parquet"
    # Some response tokens: a byte-level token is a letter.
    write_records(records, [make_record("What is 1 and 1?", "", "it is 2")])
    observer = During(tmp_path / "during", Probe(), ["gradients", "losses"]) if weights == "lora" else None
    cell = conftest.cell(tmp_path, records, observer=observer)
    with watched_products:
        settings = TRAINING.model_copy(update={"weights": weights})
        conftest.train(long_model_folder, cell, training=settings, micro_batch=1)
    assert cell.summary.is_file()
    assert watched_products.longest == VOCABULARY
    assert not watched_products.fatal
