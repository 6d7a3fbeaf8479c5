"""How large a model is and what it is made of, by its files alone: known without torch, and before it is loaded.

A model's tensors are listed by the headers of its safetensors, by the header of a GGUF, or, where there are no weights
yet, by what its `config.json` says of an architecture that is known here. All else is counted from that list.
"""

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from grads.config.kinds import MODELS
from grads.config.models import Model
from grads.models.architectures import ARCHITECTURES, numbers_of, text_config
from grads.models.gguf_header import read_header
from grads.models.headers import BYTES, Stored, stored_tensors
from grads.study.paths import hub_path

CONFIG = "config.json"
GGUF = ".gguf"
# What configs call those types.
TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings", "tok_embeddings")
HEADS = ("lm_head", "embed_out")
# Tensors of files that are no parameters: causal masks, the number that masks, and frequencies of positions.
MASKS = {"bias", "masked_bias", "causal_mask"}
FREQUENCIES = "inv_freq"
LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class Matrix:
    """A weight of two dimensions or more, by the name of its module."""

    module: str
    shape: tuple[int, ...]

    @property
    def linear(self) -> bool:
        """Whether it is the weight of a linear layer that an adapter on all linear layers gets a path on."""
        return len(self.shape) == 2 and LAYER.search(self.module) is not None and ".experts." not in self.module


@dataclass(frozen=True)
class ModelSize:
    """What a causal language model is made of.

    Attributes:
        parameters: its weights; those that two layers share count once.
        embedding: weights of the input embedding, vocabulary x hidden.
        layer: weights of one decoder layer, the largest.
        layers: decoder layers.
        hidden: width of the hidden states.
        intermediate: width inside a layer's perceptron.
        heads: attention heads of the queries.
        kv_heads: attention heads of keys and values.
        head_width: width of a head.
        vocabulary: rows of the embedding.
        positions: the longest sequence that it has positions for; None where it names no limit.
        tied: whether the LM head is the input embedding.
        stored_bytes: bytes of its weights in its prepared folder.
        dtype: type of most of them, by the name of safetensors.
        matrices: its weights of two dimensions or more, by the names of their modules.
    """

    parameters: int
    embedding: int
    layer: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    positions: int | None
    tied: bool
    stored_bytes: int
    dtype: str
    matrices: tuple[Matrix, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules that have matrices, sorted."""
        return tuple(dict.fromkeys(matrix.module for matrix in self.matrices))

    @cached_property
    def linear(self) -> tuple[Matrix, ...]:
        """Weights of the linear layers that an adapter on all of them gets a path on."""
        return tuple(matrix for matrix in self.matrices if matrix.linear)

    @property
    def multiplied(self) -> int:
        """Weights that a token is multiplied by: all but an input embedding that is not the LM head, too."""
        return self.parameters if self.tied else self.parameters - self.embedding

    def adapted(self, targets: str | Sequence[str]) -> tuple[Matrix, ...]:
        """Return the linear layers that an adapter gets a path on; `all-linear` leaves the LM head out, as PEFT does.

        Args:
            targets: `all-linear`, or names of layers, or the ends of such names.
        """
        if targets == "all-linear":
            return self.linear
        ends = tuple(f".{target}" for target in targets)
        return tuple(
            matrix for matrix in self.matrices if len(matrix.shape) == 2 and f".{matrix.module}".endswith(ends)
        )

    def adapter_parameters(self, rank: int, targets: str | Sequence[str]) -> int:
        """Return the weights of a LoRA adapter: rank x (inputs + outputs) of each layer that it has a path on."""
        return sum(rank * sum(matrix.shape) for matrix in self.adapted(targets))


def model_size(model: Model) -> ModelSize | None:
    """Return what is known of a model of the config before it is prepared; None where nothing is (yet).

    Known are, say, tiny models, folders and GGUF files of one's own, and repositories of the hub that are fetched. What
    is wrong with the files is said when the model is prepared.
    """
    known = _known(model)
    if not isinstance(known, Path):
        return None if known is None else size_of_config(known)
    return read_gguf(known) if known.suffix == GGUF else read_size(known)


def is_linked(model: Model) -> bool:
    """Return whether the weights are linked when the model is prepared, as those of a folder, and not written."""
    known = _known(model)
    return isinstance(known, Path) and known.suffix != GGUF


def _known(model: Model) -> Path | Mapping[str, Any] | None:
    """Return where it is known from how large a model is: a folder, a GGUF file or its config."""
    source = model.source
    return hub_path(source) if source.fetched else MODELS.find(source.kind).known(source)


def read_size(folder: Path) -> ModelSize | None:
    """Return what a `save_pretrained` folder says of itself; None where it cannot be told.

    Where it holds no weights, its config has to be of an architecture that is known here. A folder is read once by a
    process, and again when its files change.
    """
    try:
        files = [folder / CONFIG, *sorted(folder.glob("*.safetensors"))]
        stamps = tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    except OSError:
        return None
    return _read_size(folder.absolute(), stamps)


@lru_cache(maxsize=64)
def _read_size(folder: Path, _stamps: tuple[tuple[str, int, int], ...]) -> ModelSize | None:
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        tensors = stored_tensors(folder)
    except (OSError, ValueError, struct.error):
        return None
    if not isinstance(config, Mapping):
        return None
    return _counted(config, tensors) if tensors else size_of_config(config)


def size_of_config(config: Mapping[str, Any]) -> ModelSize | None:
    """Return the size of a model whose `config.json` is known and whose weights are not; None where it is not known.

    That is so for the architectures of ARCHITECTURES, without experts.
    """
    return _size_of_json(json.dumps(config, sort_keys=True, default=str))


@lru_cache(maxsize=64)
def _size_of_json(content: str) -> ModelSize | None:
    config = json.loads(content)
    text = text_config(config)
    numbers = numbers_of(text)
    architecture = ARCHITECTURES.get(str(text.get("model_type")))
    if numbers is None or architecture is None:
        return None
    dtype = TYPES.get(str(text.get("dtype", text.get("torch_dtype", config.get("torch_dtype")))), "F32")
    tied = bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", architecture.tied)))
    shapes = architecture.tensors(numbers, text, tied)
    return _counted(config, {name: Stored(shape, dtype) for name, shape in shapes.items()})


def read_gguf(path: Path) -> ModelSize | None:
    """Return what the header of a GGUF says; None where it cannot be told, or it is no llama nor one like it.

    `stored_bytes` are those of the prepared model, which holds the same weights in float32.
    """
    try:
        with path.open("rb") as handle:
            header = read_header(handle)
    except (OSError, ValueError, struct.error):
        return None
    if header.tensors is None:
        return None
    return _counted(header.config, {name: Stored(shape, "F32") for name, shape in header.tensors.items()})


def _counted(config: Mapping[str, Any], tensors: Mapping[str, Stored]) -> ModelSize | None:
    """Return the size of a model whose tensors are known by name."""
    numbers = numbers_of(text_config(config))
    if numbers is None:
        return None
    own = {name: tensor for name, tensor in tensors.items() if not _is_buffer(name, tensor)}
    head = [name for name in own if _module(name).rpartition(".")[2] in HEADS and name.endswith(".weight")]
    embeddings = [tensor for name, tensor in own.items() if _module(name).rpartition(".")[2] in EMBEDDINGS]
    embedding = embeddings[0] if embeddings else Stored((numbers.vocabulary, numbers.hidden), "F32")
    tied = not head or text_config(config).get("tie_word_embeddings", config.get("tie_word_embeddings")) is True
    parameters = sum(tensor.entries for name, tensor in own.items() if not (tied and name in head))
    layers: dict[int, int] = {}
    types: dict[str, int] = {}
    for name, tensor in own.items():
        if (found := LAYER.search(name)) is not None:
            layers[int(found[1])] = layers.get(int(found[1]), 0) + tensor.entries
        types[tensor.dtype] = types.get(tensor.dtype, 0) + tensor.entries
    return ModelSize(
        parameters=parameters,
        embedding=embedding.entries,
        layer=max(layers.values(), default=0),
        layers=numbers.layers,
        hidden=numbers.hidden,
        intermediate=numbers.intermediate,
        heads=numbers.heads,
        kv_heads=numbers.kv_heads,
        head_width=numbers.head_width,
        vocabulary=embedding.shape[0],
        positions=numbers.positions,
        tied=tied,
        stored_bytes=sum(tensor.entries * BYTES.get(tensor.dtype, 4) for tensor in tensors.values()),
        dtype=max(types, key=types.__getitem__, default="F32"),
        matrices=tuple(Matrix(_module(name), own[name].shape) for name in sorted(own) if len(own[name].shape) > 1),
    )


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _is_buffer(name: str, tensor: Stored) -> bool:
    last = name.rpartition(".")[2]
    return last == FREQUENCIES or (last in MASKS and (len(tensor.shape) == 4 or tensor.entries == 1))
