"""Preparing a model: whatever its source, a folder of safetensors and a tokenizer that every later stage loads."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from grads.data.archives import open_member
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path
from grads.study.config import ArchiveSource, FileSource, HubSource, TinySource
from grads.study.sources import KEPT

SPECIAL_TOKENS = ("<|pad|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def prepare_model(
    source: FileSource | ArchiveSource | HubSource | TinySource, fetched: Path | str | None, out: Path | str
) -> None:
    """Write a model's weights (safetensors) and tokenizer to the folder `out`, atomically.

    A GGUF, from a file or an archive's member, is dequantised once, to float32, which holds its values exactly; a
    `save_pretrained` folder is copied without pickles and code; a tiny model is made by code.

    Args:
        source: where the model comes from.
        fetched: the archive of an `ArchiveSource`, the folder of a `HubSource`.
        out: the folder to write.

    Raises:
        GradsError: the source is not there or of another kind, has no safetensors, or needs code of its own.
    """
    with atomic_path(out) as temporary:
        temporary.mkdir()
        if isinstance(source, TinySource):
            _save_tiny(source, temporary)
        elif isinstance(source, ArchiveSource | HubSource):
            if fetched is None:
                raise ValueError(f"a model of kind '{source.kind}' needs 'fetched'")
            if isinstance(source, HubSource):
                _copy_folder(Path(fetched), temporary)
            else:
                _save_archived(source, Path(fetched), temporary)
        elif Path(source.path).is_dir():
            _copy_folder(Path(source.path), temporary)
        elif Path(source.path).is_file() and source.path.endswith(".gguf"):
            _save_gguf(Path(source.path), temporary)
        else:
            raise GradsError(f"model source {source.path} is neither a folder nor a .gguf file: correct its 'path'")


def _save_archived(source: ArchiveSource, archive_path: Path, out: Path) -> None:
    if not source.member.endswith(".gguf"):
        raise GradsError(f"model member '{source.member}' of archive '{source.archive}' is no .gguf file: name one")
    # Inside the folder that is renamed when whole, so that nothing is left behind if this process is killed.
    with tempfile.TemporaryDirectory(prefix="gguf-", dir=out) as scratch:
        path = Path(scratch) / Path(source.member).name
        with open_member(archive_path, source.member) as member, path.open("wb") as handle:
            shutil.copyfileobj(member, handle, 1 << 20)
        _save_gguf(path, out)


def _save_gguf(path: Path, out: Path) -> None:
    place = {"gguf_file": path.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), **place)
        model: Any = AutoModelForCausalLM.from_pretrained(str(path.parent), dtype=torch.float32, **place)
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise GradsError(f"{path.name} cannot be read as a GGUF model ({reason}): choose another file") from None
    # The weights are plain tensors by now; the quantiser's marks would make transformers refuse to save them.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _copy_folder(folder: Path, out: Path) -> None:
    if not (folder / "config.json").is_file():
        raise GradsError(f"{folder} has no config.json: give a folder that save_pretrained wrote")
    if not any(folder.glob("*.safetensors")):
        pickles = [path.name for path in sorted(folder.iterdir()) if path.suffix in {".bin", ".pt", ".pth", ".pkl"}]
        found = f"holds its weights as a pickle ({pickles[0]})" if pickles else "holds no weights"
        raise GradsError(f"{folder} {found}: load it where you trust it and save_pretrained it anew as safetensors")
    try:
        kind = json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
    except (ValueError, AttributeError):
        raise GradsError(f"{folder / 'config.json'} is not a JSON object: save_pretrained the model anew") from None
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise GradsError(
            f"{folder / 'config.json'}: model_type '{kind}' is no causal language model of transformers itself, and "
            "code that comes with a model is never run: choose another model"
        )
    for path in sorted(folder.glob("*.safetensors")):
        check_weights(path)
    for pattern in KEPT:
        for path in sorted(folder.glob(pattern)):
            shutil.copyfile(path, out / path.name)


def check_weights(path: Path) -> None:
    """Refuse a file of weights that was cut or is none; only its header is read, and its length.

    Raises:
        GradsError: it says so.
    """
    try:
        with safe_open(path, framework="pt"):
            pass
    except SafetensorError as error:
        raise GradsError(f"{path} is no whole safetensors file ({error}): copy or download it again") from None


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
