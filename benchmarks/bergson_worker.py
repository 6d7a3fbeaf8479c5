"""The process of bergson, in its own environment: `python -m benchmarks.bergson_worker SETTINGS`.

Written for bergson 2.5.1. The model comes from its own `setup_model_and_peft` (bf16, everything frozen but the input
embedding, which starts the graph and whose gradient is therefore computed, as in `bergson build`), batches from its own
`allocate_batches` under the same token budget, and the index from `bergson.collect_gradients` with a two-sided
projection of the gradient of every linear layer below the LM head to side x side numbers. It is given the same token
ids and loss positions; only `collect_gradients` is timed, which makes the collector, goes over the batches and writes
the index. Its projection matrices are kept between runs, so that making them is not timed either.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.protocol import Contestant, Settings, serve

IGNORED = -100


class IndexBuild:
    """One index build a run, into a folder that is then removed."""

    def __init__(self, settings: Settings) -> None:
        import torch
        from bergson import IndexConfig
        from bergson.utils.worker_utils import create_processor, setup_model_and_peft

        torch.set_num_threads(settings.threads)
        self.folder = tempfile.TemporaryDirectory(prefix="bergson-")
        self.config = IndexConfig(
            run_path=str(Path(self.folder.name) / "index"),
            model=settings.model,
            precision="bf16",
            projection_dim=settings.side,
            token_batch_size=settings.token_budget,
            loss_reduction="mean",
        )
        self.model, self.targets = setup_model_and_peft(self.config)
        self.config.partial_run_path.mkdir()
        self.processor = create_processor(self.model, self.config, self.targets)

    def prepare(self, rows: list[dict[str, Any]]) -> None:
        """Take the examples as bergson's data set and batches."""
        from bergson.data import allocate_batches
        from datasets import Dataset

        ids = [row["input_ids"] for row in rows]
        labels = [[IGNORED] * row["prompt_tokens"] + row["input_ids"][row["prompt_tokens"] :] for row in rows]
        lengths = [len(one) for one in ids]
        self.data = Dataset.from_dict({"input_ids": ids, "labels": labels, "length": lengths})
        self.batches = allocate_batches(lengths, self.config.token_batch_size)

    def run(self) -> None:
        """Build the index."""
        from bergson import collect_gradients

        shutil.rmtree(self.config.partial_run_path, ignore_errors=True)
        self.config.partial_run_path.mkdir()
        collect_gradients(
            model=self.model,
            data=self.data,
            processor=self.processor,
            cfg=self.config,
            batches=self.batches,
            target_modules=self.targets,
        )


def _make(settings: Settings) -> Contestant:
    return IndexBuild(settings)


if __name__ == "__main__":
    serve(_make)
