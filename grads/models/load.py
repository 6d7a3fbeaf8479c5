"""Loading a prepared model, its tokenizer, and an adapter or trained weights on top of it."""

from pathlib import Path
from typing import Any, Literal

import torch

from grads.models.device import device, dtype
from grads.runtime.errors import GradsError


def load_tokenizer(folder: Path | str) -> Any:
    """Load the tokenizer of a prepared model; a missing padding token is the end token (padding carries no loss).

    Raises:
        GradsError: it has neither, or there is no tokenizer in the folder.
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
    return tokenizer


def load_model(
    folder: Path | str, precision: Literal["bf16", "float32"], trained: Path | str | None = None
) -> torch.nn.Module:
    """Load a prepared model in evaluation mode on this process's device.

    Args:
        folder: a `save_pretrained` folder of safetensors.
        precision: type of the frozen weights. An adapter stays in float32 and is kept as a low-rank path: merging a
            short LoRA run into bf16 would lose a third of it.
        trained: a folder with a LoRA adapter (`adapter_config.json`) or with all weights, made by training.

    Raises:
        GradsError: `trained` holds neither.
    """
    from transformers import AutoModelForCausalLM

    weights, adapter = _weights_and_adapter(Path(folder), trained)
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(weights), dtype=dtype(precision), local_files_only=True, use_safetensors=True
    )
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    return model.to(device()).eval()


def _weights_and_adapter(folder: Path, trained: Path | str | None) -> tuple[Path, Path | None]:
    if trained is None:
        return folder, None
    if (Path(trained) / "adapter_config.json").is_file():
        return folder, Path(trained)
    if (Path(trained) / "config.json").is_file():
        return Path(trained), None
    raise GradsError(f"{trained} holds neither an adapter nor model weights: run its training again")
