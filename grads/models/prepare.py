"""Preparing a model: whatever its source, a folder of safetensors and a tokenizer that every later stage loads."""

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from grads.config.kinds import MODELS
from grads.config.sources import TEXTS, Source
from grads.models.checkpoint import (
    INDEX,
    SINGLE,
    Kind,
    check_checkpoint,
    listed,
    quiet,
    reason_of,
    refuse_nonfinite_files,
    refuse_other_tokens,
    refuse_partial,
    weight_files,
)
from grads.models.load import load_tokenizer, read_tokenizer
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, link_or_copy, read_json

SPECIAL_TOKENS = ("<|pad|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def prepare_model(source: Source, fetched: Path | str | None, out: Path | str, weights: bool = True) -> None:
    """Write a model's weights (safetensors) and tokenizer to the folder `out`, atomically, if they are whole.

    A GGUF, from a file or an archive's member, is dequantised once, to float32, which holds its values exactly; of a
    `save_pretrained` folder the weights are linked (`grads.runtime.files.link_or_copy`) and the rest copied, without
    pickles and code; a tiny model is made by code.

    Args:
        source: where the model comes from.
        fetched: what was fetched from the network, or the archive that the source is in.
        out: the folder to write.
        weights: whether they are wanted; config and tokenizer are enough to count tokens, and weights are not read.

    Raises:
        GradsError: the source is not there or of another kind, has no safetensors, or needs code of its own; weights
            are missing, unexpected, of other sizes, damaged, or no numbers; there is no tokenizer, or one that is not
            the model's.
    """
    if fetched is None and (source.fetched or source.archive_key):
        raise ValueError(f"a model of kind '{source.kind}' needs 'fetched'")
    with atomic_path(out) as temporary:
        temporary.mkdir()
        MODELS.find(source.kind).prepare(source, None if fetched is None else Path(fetched), temporary, weights)


def place_gguf(path: Path, out: Path, weights: bool = True) -> None:
    """Write the model in a GGUF file to another folder, dequantised to float32, if it is a whole one.

    Args:
        path: the file.
        out: an empty folder.
        weights: whether they are wanted.

    Raises:
        GradsError: it cannot be read, or is not whole.
    """
    place = {"gguf_file": path.name, "local_files_only": True}
    asked = {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True}
    auto: Any = AutoModelForCausalLM
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), **place)
        config = AutoConfig.from_pretrained(str(path.parent), **place)
        if weights:
            with quiet():
                model, info = auto.from_pretrained(str(path.parent), **asked, **place)
    # The file is the user's, and what a wrong one makes its reader raise has no class in common.
    except Exception as error:
        raise GradsError(
            f"{path.name} cannot be read as a GGUF model ({reason_of(error)}): choose another file"
        ) from None
    tokenizer.save_pretrained(out)
    _drop_invented(out / "tokenizer.json")
    if not weights:
        config.save_pretrained(out)
        refuse_other_tokens(load_tokenizer(out, path.name), config.get_text_config().vocab_size, path.name)
        return
    refuse_partial(path.name, info)
    _refuse_others(path, config.get_text_config().num_hidden_layers)
    # The weights are plain tensors by now; the quantiser's marks would make transformers refuse to save them.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(out)
    _check_whole(out, "model", path.name)


def _refuse_others(path: Path, layers: int) -> None:
    """Refuse a GGUF with tensors that a model of its architecture and layers has not; transformers passes them over."""
    reader = gguf.GGUFReader(path)
    field = reader.get_field(gguf.Keys.General.ARCHITECTURE)
    assert field is not None
    architecture = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == field.contents())
    kinds = [gguf.TENSOR_NAMES[kind] for kind in gguf.MODEL_TENSORS[architecture]]
    known = {name.format(bid=block) for name in kinds for block in range(layers)}
    if others := [tensor.name for tensor in reader.tensors if tensor.name.rpartition(".")[0] not in known]:
        raise GradsError(
            f"{path.name} is not a whole model: it holds {listed(others)}, which one of {layers} layers has not: "
            "choose another file"
        )


def _drop_invented(path: Path) -> None:
    """Take out of a tokenizer the tokens that a GGUF has not: transformers adds the usual ones at its end."""
    content = read_json(path)
    own = [token for token in content["added_tokens"] if token["id"] < len(content["model"]["vocab"])]
    if own != content["added_tokens"]:
        path.write_text(json.dumps(content | {"added_tokens": own}, ensure_ascii=False, indent=2), "utf-8")


def place_checkpoint(
    folder: Path, out: Path, kind: Kind = "model", place: str | None = None, weights: bool = True
) -> None:
    """Link and copy what `save_pretrained` wrote into another folder, if it is a whole model.

    Args:
        folder: what `save_pretrained` wrote.
        out: an empty folder.
        kind: of the model.
        place: what sentences call the folder, if not by its path.
        weights: whether they are wanted; if not, their headers are checked all the same.

    Raises:
        GradsError: it is not whole.
    """
    _check_whole(folder, kind, place or folder, weights)
    for path in weight_files(folder) if weights else []:
        link_or_copy(path, out / path.name)
    for pattern in TEXTS:
        for path in sorted(folder.glob(pattern)):
            if path.name != INDEX or not (folder / SINGLE).is_file():  # Another index is not read either.
                shutil.copyfile(path, out / path.name)


def place_taught(plain: Path, trained: Path, out: Path) -> None:
    """Write a prepared model with other weights: theirs, and all else of what it was before.

    Args:
        plain: the prepared model.
        trained: a folder with all of its weights, made by training; it gets the tokenizer.
        out: an empty folder.

    Raises:
        GradsError: the weights are not whole.
    """
    for pattern in TEXTS:
        for path in sorted(plain.glob(pattern)):
            # What says how weights are stored belongs to the weights.
            if path.name not in ("config.json", INDEX):
                shutil.copyfile(path, trained / path.name)
    place_checkpoint(trained, out)


def _check_whole(folder: Path, kind: Kind, place: Path | str, weights: bool = True) -> None:
    """Refuse a folder whose weights and tokenizer are not whole, or do not belong together."""
    skeleton: Any = check_checkpoint(folder, kind, place)
    tokenizer = (load_tokenizer if kind == "model" else read_tokenizer)(folder, place)
    refuse_other_tokens(tokenizer, skeleton.get_input_embeddings().weight.shape[0], place)
    if weights:
        refuse_nonfinite_files(folder, place)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of one token a byte, with a ChatML template; its end of turn is `<|im_end|>`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )
