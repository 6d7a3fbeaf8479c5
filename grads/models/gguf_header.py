"""What a GGUF holds, by its header alone (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

MAGIC = b"GGUF"
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT = 8
ARRAY = 9
LONGEST_TEXT = 10_000_000
EMBEDDING = "token_embd"
FREQUENCIES = "rope_freqs"
# Keys of a config, and what the metadata calls the same behind the architecture's name.
CONFIG_KEYS = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
}
# What transformers calls what a GGUF of a llama, or one like it, holds.
NAMES = {
    EMBEDDING: "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
LAYER_NAMES = {
    **{f"attn_{letter}": f"self_attn.{letter}_proj" for letter in "qkv"},
    **{f"attn_{letter}_norm": f"self_attn.{letter}_norm" for letter in "qk"},
    "attn_output": "self_attn.o_proj",
    **{f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}


@dataclass(frozen=True)
class GgufHeader:
    """The header of a GGUF: its metadata, without lists, and the shapes of its tensors by its own names."""

    values: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def config(self) -> dict[str, Any]:
        """What a `config.json` says of the same model."""
        architecture = self.values.get("general.architecture")
        found = {key: self.values.get(f"{architecture}.{name}") for key, name in CONFIG_KEYS.items()}
        return found | {"vocab_size": self.shapes.get(f"{EMBEDDING}.weight", (None,))[0]}

    @property
    def tensors(self) -> dict[str, tuple[int, ...]] | None:
        """Shapes by the names of transformers; None where it is no llama nor one like it."""
        own = [name for name in self.shapes if not name.startswith(FREQUENCIES)]
        names = {name: _transformers_name(name) for name in own}
        found = {known: self.shapes[name] for name, known in names.items() if known is not None}
        return found if len(found) == len(own) else None


def read_header(handle: IO[bytes]) -> GgufHeader:
    """Return the header of an open GGUF.

    Raises:
        OSError, ValueError, struct.error: it cannot be read, or is none.
    """
    if handle.read(4) != MAGIC:
        raise ValueError("no GGUF file")
    _version, tensors, keys = _unpack(handle, "IQQ")
    values = {}
    for _ in range(keys):
        name = _text(handle)
        values[name] = _value(handle, _unpack(handle, "I")[0])
    shapes = {}
    for _ in range(tensors):
        name = _text(handle)
        (dimensions,) = _unpack(handle, "I")
        # Written with the innermost dimension first.
        shapes[name] = tuple(_unpack(handle, f"{dimensions}Q")[::-1])
        _unpack(handle, "IQ")
    return GgufHeader(values, shapes)


def _transformers_name(name: str) -> str | None:
    if not name.startswith("blk."):
        module, _, kind = name.rpartition(".")
        return f"{NAMES[module]}.{kind}" if module in NAMES else None
    _, number, part, kind = name.split(".")
    return f"model.layers.{number}.{LAYER_NAMES[part]}.{kind}" if part in LAYER_NAMES else None


def _unpack(handle: IO[bytes], kinds: str) -> tuple[Any, ...]:
    form = struct.Struct(f"<{kinds}")
    return form.unpack(handle.read(form.size))


def _text(handle: IO[bytes]) -> str:
    (length,) = _unpack(handle, "Q")
    if length > LONGEST_TEXT:
        raise ValueError("no GGUF file")
    return handle.read(length).decode("utf-8", "replace")


def _value(handle: IO[bytes], kind: int) -> Any:
    """Return a value of the metadata; the elements of a list are passed over, and it is None."""
    if kind == TEXT:
        return _text(handle)
    if kind in SCALARS:
        return _unpack(handle, SCALARS[kind])[0]
    if kind != ARRAY:
        raise ValueError("no GGUF file")
    element, count = _unpack(handle, "IQ")
    if element in SCALARS:
        handle.read(struct.calcsize(f"<{SCALARS[element]}") * count)
    else:
        for _ in range(count):
            _value(handle, element)
    return None
