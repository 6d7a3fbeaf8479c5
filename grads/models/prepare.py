"""Preparing a model: whatever its source, a folder of safetensors and a tokenizer that every later stage loads."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from grads.config.sources import TEXTS, ArchiveSource, FileSource, HubSource, TinySource
from grads.data.sources.archives import open_member
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


def prepare_model(
    source: FileSource | ArchiveSource | HubSource | TinySource,
    fetched: Path | str | None,
    out: Path | str,
    weights: bool = True,
) -> None:
    """Write a model's weights (safetensors) and tokenizer to the folder `out`, atomically, if they are whole.

    A GGUF, from a file or an archive's member, is dequantised once, to float32, which holds its values exactly; of a
    `save_pretrained` folder the weights are linked (`grads.runtime.files.link_or_copy`) and the rest copied, without
    pickles and code; a tiny model is made by code.

    Args:
        source: where the model comes from.
        fetched: the archive of an `ArchiveSource`, the folder of a `HubSource`.
        out: the folder to write.
        weights: whether they are wanted; config and tokenizer are enough to count tokens, and weights are not read.

    Raises:
        GradsError: the source is not there or of another kind, has no safetensors, or needs code of its own; weights
            are missing, unexpected, of other sizes, damaged, or no numbers; there is no tokenizer, or one that is not
            the model's.
    """
    with atomic_path(out) as temporary:
        temporary.mkdir()
        if isinstance(source, TinySource):
            _save_tiny(source, temporary)
        elif isinstance(source, ArchiveSource | HubSource):
            if fetched is None:
                raise ValueError(f"a model of kind '{source.kind}' needs 'fetched'")
            if isinstance(source, HubSource):
                place_checkpoint(Path(fetched), temporary, weights=weights)
            else:
                _save_archived(source, Path(fetched), temporary, weights)
        elif Path(source.path).is_dir():
            place_checkpoint(Path(source.path), temporary, weights=weights)
        elif Path(source.path).is_file() and source.path.endswith(".gguf"):
            _save_gguf(Path(source.path), temporary, weights)
        else:
            raise GradsError(f"model source {source.path} is neither a folder nor a .gguf file: correct its 'path'")


def _save_archived(source: ArchiveSource, archive_path: Path, out: Path, weights: bool) -> None:
    if not source.member.endswith(".gguf"):
        raise GradsError(f"model member '{source.member}' of archive '{source.archive}' is no .gguf file: name one")
    # Inside the folder that is renamed when whole, so that nothing is left behind if this process is killed.
    with tempfile.TemporaryDirectory(prefix="gguf-", dir=out) as scratch:
        path = Path(scratch) / Path(source.member).name
        with open_member(archive_path, source.member) as member, path.open("wb") as handle:
            shutil.copyfileobj(member, handle, 1 << 20)
        _save_gguf(path, out, weights)


def _save_gguf(path: Path, out: Path, weights: bool) -> None:
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


def _check_whole(folder: Path, kind: Kind, place: Path | str, weights: bool = True) -> None:
    """Refuse a folder whose weights and tokenizer are not whole, or do not belong together."""
    skeleton: Any = check_checkpoint(folder, kind, place)
    tokenizer = (load_tokenizer if kind == "model" else read_tokenizer)(folder, place)
    refuse_other_tokens(tokenizer, skeleton.get_input_embeddings().weight.shape[0], place)
    if weights:
        refuse_nonfinite_files(folder, place)


def _save_tiny(source: TinySource, out: Path) -> None:
    tokenizer = byte_tokenizer()
    heads = source.width // 8
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=source.width,
        intermediate_size=2 * source.width,
        num_hidden_layers=source.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=1024,
        initializer_range=0.1,  # The usual 0.02 would leave so small a model's next tokens nearly equally likely.
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


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
