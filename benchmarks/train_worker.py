"""One training job of a contestant: `python -m benchmarks.train_worker JOB`, JOB a JSON object (see `Job`).

All contestants train on the same token ids, in the same order, in global batches of the same records, with AdamW and a
LoRA adapter of the same shape on all linear layers. Imports the standard library only at first: one contestant runs in
an environment that has no `grads`.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

IGNORED = -100


@dataclass(frozen=True)
class Job:
    """What a process is told.

    Attributes:
        name: of the contestant.
        model: folder of the prepared model.
        records: Parquet of the records, for ours.
        examples: JSON lines of `input_ids` and `prompt_tokens`, in the order of training, for the others.
        out: an empty folder.
        threads: of torch.
        precision: float32 or bf16.
        rank: of the adapter; its scale is 2.
        batch: records of an optimiser step.
        longest: most tokens of a record.
    """

    name: str
    model: str
    records: str
    examples: str
    out: str
    threads: int
    precision: Literal["float32", "bf16"]
    rank: int = 16
    batch: int = 8
    longest: int = 512
    rate: float = 2.0e-4
    seed: int = 0


def ours(job: Job, **changes: Any) -> None:
    """Train as a job of the workflow does."""
    from grads.runtime.libraries import settle_libraries

    settle_libraries()
    import torch

    torch.set_num_threads(job.threads)
    from grads.config.models import Format
    from grads.config.training import Adapter, Training
    from grads.training.run import TrainingCell, train_cells

    training = Training(
        adapter=Adapter(rank=job.rank, alpha=2 * job.rank),
        epochs=1,
        global_batch=job.batch,
        learning_rate=job.rate,
        max_length=job.longest,
        precision=job.precision,
        **changes,
    )
    out = Path(job.out)
    cell = TrainingCell(
        label=job.name,
        records=Path(job.records),
        kept=None,
        trained=out / "adapter",
        summary=out / "training.json",
        scratch=out / "scratch",
        initialisation_seed=job.seed,
        order_seed=job.seed,
    )
    train_cells([cell], Path(job.model), Format(), training, job.batch)


def trainer_and_peft(job: Job) -> None:
    """Train with transformers' Trainer and PEFT as their documentation has it."""
    from peft import get_peft_model
    from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer

    model = get_peft_model(_model(job), _adapter(job))
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    rows = [
        {
            "input_ids": row["input_ids"],
            "attention_mask": [1] * len(row["input_ids"]),
            "labels": [IGNORED] * row["prompt_tokens"] + row["input_ids"][row["prompt_tokens"] :],
        }
        for row in _rows(job)
    ]
    from transformers import TrainingArguments

    collator = DataCollatorForSeq2Seq(tokenizer, padding=True)
    Trainer(model=model, args=TrainingArguments(**_arguments(job)), train_dataset=rows, data_collator=collator).train()
    model.save_pretrained(job.out)


def trl(job: Job) -> None:
    """Train with TRL's SFTTrainer on the answers alone, as its documentation has it."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = [
        {
            "input_ids": row["input_ids"],
            "completion_mask": [int(place >= row["prompt_tokens"]) for place in range(len(row["input_ids"]))],
        }
        for row in _rows(job)
    ]
    trainer = SFTTrainer(
        model=_model(job),
        args=SFTConfig(**_arguments(job), max_length=job.longest, completion_only_loss=True, shuffle_dataset=False),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(job.model),
        peft_config=_adapter(job),
    )
    trainer.train()
    trainer.save_model(job.out)


def _model(job: Job) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(job.threads)
    kind = torch.bfloat16 if job.precision == "bf16" else torch.float32
    return AutoModelForCausalLM.from_pretrained(job.model, dtype=kind)


def _adapter(job: Job) -> Any:
    from peft import LoraConfig

    return LoraConfig(r=job.rank, lora_alpha=2 * job.rank, target_modules="all-linear", task_type="CAUSAL_LM")


def _rows(job: Job) -> list[dict[str, Any]]:
    with Path(job.examples).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _arguments(job: Job) -> dict[str, Any]:
    return {
        "output_dir": job.out,
        "num_train_epochs": 1,
        "per_device_train_batch_size": job.batch,
        "learning_rate": job.rate,
        "lr_scheduler_type": "cosine",
        "bf16": job.precision == "bf16",
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "seed": job.seed,
        "disable_tqdm": True,
        "logging_steps": 1,
    }


CONTESTANTS: dict[str, Callable[[Job], None]] = {
    "fast": ours,
    "before": ours,
    "reference": lambda job: ours(job, engine="reference"),
    "trainer": trainer_and_peft,
    "trl": trl,
}


if __name__ == "__main__":
    asked = Job(**json.loads(sys.argv[1]))
    CONTESTANTS[asked.name](asked)
