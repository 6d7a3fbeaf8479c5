"""Loading a prepared model, its tokenizer, and an adapter or trained weights on top of it."""

import re
from datetime import date
from pathlib import Path
from typing import Any, Literal

import torch

from grads.config.section import Precision
from grads.models.adapter import TrainedAdapter, check_fit, put_on, read_adapter
from grads.models.causal import check_logits
from grads.models.checkpoint import ADAPTER, check_checkpoint, listed, quiet, reason_of, refuse_nonfinite, shapes_of
from grads.models.device import device, dtype
from grads.runtime.errors import GradsError

# The day that chat templates are told: the one that Llama's own falls back on.
TODAY = date(2024, 7, 26)
# How they ask for it.
ASKED = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")


def load_tokenizer(folder: Path | str, place: Path | str | None = None) -> Any:
    """Load the tokenizer of a prepared model; a missing padding token is the end token (padding carries no loss).

    A chat template that puts the date into prompts is given always the same, or a study's prompts would change
    overnight.

    Args:
        folder: where it is.
        place: what sentences call the folder, if not by its path.

    Raises:
        GradsError: it has neither; there is no tokenizer in the folder; or its template computes with the date.
    """
    place = place or folder
    tokenizer = read_tokenizer(folder, place)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise GradsError(
                f"the tokenizer in {place} has neither a padding nor an end token: name one in its "
                "special_tokens_map.json or tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = _dated(tokenizer.chat_template, place)
    elif tokenizer.chat_template:
        tokenizer.chat_template = {name: _dated(one, place) for name, one in tokenizer.chat_template.items()}
    return tokenizer


def _dated(template: str, place: Path | str) -> str:
    dated = ASKED.sub(lambda match: f"'{TODAY.strftime(match[2])}'", template)
    if "strftime_now(" in dated:
        raise GradsError(
            f"the chat template in {place} computes a format for today's date, which would change the prompts each "
            f"day: write a date in its place, such as '{TODAY:%d %b %Y}'"
        )
    return dated


def read_tokenizer(folder: Path | str, place: Path | str | None = None) -> Any:
    """Load a folder's tokenizer as it is; `place` is what a sentence calls the folder, if not by its path.

    Raises:
        GradsError: there is none that can be read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    # The files are the user's, and what a wrong one makes its reader raise has no class in common.
    except Exception as error:
        raise GradsError(
            f"{place or folder} holds no tokenizer that can be read: save_pretrained one (tokenizer.json) into it "
            f"({reason_of(error)})"
        ) from None


def load_model(folder: Path | str, precision: Precision, trained: Path | str | None = None) -> torch.nn.Module:
    """Load a prepared model in evaluation mode on this process's device, whole or not at all.

    Args:
        folder: a `save_pretrained` folder of safetensors.
        precision: type of the frozen weights. An adapter stays in float32 and is kept as a low-rank path: merging a
            short LoRA run into bf16 would lose a third of it.
        trained: a folder with a LoRA adapter (`adapter_config.json`) or with all weights, made by training.

    Raises:
        GradsError: weights of the model or of `trained` are missing, of another model, damaged or no numbers; or the
            model's logits are not what losses are made of here.
    """
    folder = Path(folder)
    adapter = None if trained is None else check_trained(folder, Path(trained))
    weights = folder if trained is None or adapter is not None else Path(trained)
    model = _loaded(weights, "model", precision)
    if adapter is not None:
        model = put_on(model, adapter)
    check_logits(model)
    return model


def load_encoder(folder: Path, precision: Precision) -> torch.nn.Module:
    """Load a prepared sentence encoder in evaluation mode on this process's device; its pooling layer is not used.

    Raises:
        GradsError: weights are missing, of another model, damaged or no numbers.
    """
    return _loaded(folder, "encoder", precision)


def check_trained(folder: Path, trained: Path) -> TrainedAdapter | None:
    """Refuse what training left unless it is whole and of a model, before anything large is loaded.

    Args:
        folder: the model.
        trained: a folder with a LoRA adapter or with all weights.

    Returns:
        the adapter, or nothing if it is all weights.

    Raises:
        GradsError: it is neither, damaged, or of another model.
    """
    if (trained / ADAPTER).is_file():
        adapter = read_adapter(trained)
        check_fit(adapter, check_checkpoint(folder))
        return adapter
    if not (trained / "config.json").is_file():
        raise GradsError(f"{trained} holds neither an adapter nor model weights: run its training again")
    own = shapes_of(check_checkpoint(folder))
    others = shapes_of(check_checkpoint(trained))
    if own != others:
        differing = [name for name in own.keys() | others.keys() if own.get(name) != others.get(name)]
        raise GradsError(
            f"{trained} holds the weights of another model than {folder}: {listed(differing)} differ in their sizes; "
            "give the model and the weights that belong together"
        )
    return None


def _loaded(folder: Path, kind: Literal["model", "encoder"], precision: Precision) -> Any:
    from transformers import AutoModel, AutoModelForCausalLM

    check_checkpoint(folder, kind)
    auto: Any = AutoModelForCausalLM if kind == "model" else AutoModel
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
    if device().type == "cuda":
        # Tensor by tensor from the file to the device, converted there: the host never holds the whole model. By its
        # number, because the Trainer takes a model on a device of another name for one that is on several.
        options["device_map"] = {"": torch.cuda.current_device()}
    with quiet():
        model = auto.from_pretrained(str(folder), dtype=dtype(precision), **options).to(device()).eval()
    refuse_nonfinite(folder, model.named_parameters())
    return model
