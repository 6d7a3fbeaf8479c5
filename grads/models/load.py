"""Loading a prepared model, its tokenizer, and an adapter or trained weights on top of it."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import torch

from grads.models.causal import check_logits
from grads.models.device import device, dtype
from grads.runtime.errors import GradsError
from grads.study.section import Precision

# The day that chat templates are told: the one that Llama's own falls back on.
TODAY = date(2024, 7, 26)
# How they ask for it.
ASKED = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")


def load_tokenizer(folder: Path | str) -> Any:
    """Load the tokenizer of a prepared model; a missing padding token is the end token (padding carries no loss).

    A chat template that puts the date into prompts is given always the same, or a study's prompts would change
    overnight.

    Raises:
        GradsError: it has neither; there is no tokenizer in the folder; or its template computes with the date.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError):
        raise GradsError(
            f"{folder} holds no tokenizer that can be read: save_pretrained one (tokenizer.json) into it"
        ) from None
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise GradsError(
                f"the tokenizer in {folder} has neither a padding nor an end token: name one in its "
                "special_tokens_map.json or tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = _dated(tokenizer.chat_template, folder)
    elif tokenizer.chat_template:
        tokenizer.chat_template = {name: _dated(one, folder) for name, one in tokenizer.chat_template.items()}
    return tokenizer


def _dated(template: str, folder: Path | str) -> str:
    dated = ASKED.sub(lambda match: f"'{TODAY.strftime(match[2])}'", template)
    if "strftime_now(" in dated:
        raise GradsError(
            f"the chat template in {folder} computes a format for today's date, which would change the prompts each "
            f"day: write a date in its place, such as '{TODAY:%d %b %Y}'"
        )
    return dated


def load_model(folder: Path | str, precision: Precision, trained: Path | str | None = None) -> torch.nn.Module:
    """Load a prepared model in evaluation mode on this process's device.

    Args:
        folder: a `save_pretrained` folder of safetensors.
        precision: type of the frozen weights. An adapter stays in float32 and is kept as a low-rank path: merging a
            short LoRA run into bf16 would lose a third of it.
        trained: a folder with a LoRA adapter (`adapter_config.json`) or with all weights, made by training.

    Raises:
        GradsError: `trained` holds neither, or the model's logits are not what losses are made of here.
    """
    from transformers import AutoModelForCausalLM

    weights, adapter = _weights_and_adapter(Path(folder), trained)
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(weights), dtype=dtype(precision), local_files_only=True, use_safetensors=True
    )
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    model = model.to(device()).eval()
    check_logits(model)
    return model


def _weights_and_adapter(folder: Path, trained: Path | str | None) -> tuple[Path, Path | None]:
    if trained is None:
        return folder, None
    if (Path(trained) / "adapter_config.json").is_file():
        return folder, Path(trained)
    if (Path(trained) / "config.json").is_file():
        return Path(trained), None
    raise GradsError(f"{trained} holds neither an adapter nor model weights: run its training again")
