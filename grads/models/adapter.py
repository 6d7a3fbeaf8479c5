"""Low-rank adapters (LoRA): made anew, or gone on with."""

from pathlib import Path
from typing import Any

import torch

from grads.runtime.errors import GradsError
from grads.study.config import Adapter


def fresh_adapter(model: torch.nn.Module, adapter: Adapter, seed: int) -> Any:
    """Return a PEFT model with a trainable float32 adapter on frozen weights: A random by `seed`, B zero.

    Raises:
        GradsError: the adapter's targets are not linear layers of the model.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]  # fractions are fine
        lora_dropout=adapter.dropout,
        target_modules=adapter.targets,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise GradsError(f"training.adapter.targets: {error}") from None


def trained_adapter(model: torch.nn.Module, folder: Path, dropout: float) -> Any:
    """Return a PEFT model with the adapter that a folder holds, trainable in float32, on frozen weights.

    It goes on with the dropout that is given, whatever it was trained with.
    """
    from peft import PeftConfig, PeftModel

    config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
    config.lora_dropout = dropout
    return PeftModel.from_pretrained(model, str(folder), is_trainable=True, config=config, local_files_only=True)
