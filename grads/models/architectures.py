"""Which tensors a decoder has, by the numbers in its `config.json` alone, for architectures that are known here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# What architectures call the same numbers.
KEYS = {
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "intermediate": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "vocabulary": ("vocab_size",),
    "positions": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
    "head_width": ("head_dim",),
}
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Numbers:
    """What a config says of a decoder."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    intermediate: int
    vocabulary: int
    positions: int | None


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a config that is about its language model: of one that reads pictures too, a part of it."""
    text = config.get("text_config")
    return text if isinstance(text, Mapping) else config


def numbers_of(text: Mapping[str, Any]) -> Numbers | None:
    """Return the numbers of a config; None where it lacks one that has no usual value."""

    def number(name: str) -> int | None:
        values = [text[key] for key in KEYS[name] if isinstance(text.get(key), int) and text[key] > 0]
        return values[0] if values else None

    hidden, layers, heads, vocabulary = (number(name) for name in ("hidden", "layers", "heads", "vocabulary"))
    if hidden is None or layers is None or heads is None or vocabulary is None:
        return None
    return Numbers(
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=number("kv_heads") or heads,
        head_width=number("head_width") or hidden // heads,
        intermediate=number("intermediate") or 4 * hidden,
        vocabulary=vocabulary,
        positions=number("positions"),
    )


@dataclass(frozen=True)
class Architecture:
    """The tensors of a decoder.

    Attributes:
        prefix: of the decoder's modules.
        embedding: name of the input embedding.
        layer: of a layer, by number.
        linear: names of a layer's linear layers, each as outputs x inputs, in the names of SIDES.
        norms: names of a layer's norms, each with its width in the names of SIDES.
        last_norm: name of the norm behind all layers.
        head: name of the LM head.
        biases: linear layers that have one whatever the config says.
        norm_bias: whether norms have biases.
        head_bias: whether an LM head of its own has one.
        transposed: whether weights are stored as inputs x outputs.
        tied: whether the LM head is the input embedding where the config does not say.
    """

    linear: Mapping[str, tuple[str, str]]
    norms: Mapping[str, str]
    prefix: str = "model"
    embedding: str = "embed_tokens"
    layer: str = "layers"
    last_norm: str = "norm"
    head: str = "lm_head"
    biases: frozenset[str] = frozenset()
    norm_bias: bool = False
    head_bias: bool = False
    transposed: bool = False
    position_embedding: str | None = None
    tied: bool = False

    def tensors(self, numbers: Numbers, config: Mapping[str, Any], tied: bool) -> Shapes:
        """Return the shapes of all tensors by name."""
        sides = {
            "hidden": numbers.hidden,
            "queries": numbers.heads * numbers.head_width,
            "keys": numbers.kv_heads * numbers.head_width,
            "fused": (numbers.heads + 2 * numbers.kv_heads) * numbers.head_width,
            "head": numbers.head_width,
            "inner": numbers.intermediate,
            "twice": 2 * numbers.intermediate,
        }
        found: Shapes = {f"{self.prefix}.{self.embedding}.weight": (numbers.vocabulary, numbers.hidden)}
        if self.position_embedding and numbers.positions:
            found[f"{self.prefix}.{self.position_embedding}.weight"] = (numbers.positions, numbers.hidden)
        for number in range(numbers.layers):
            place = f"{self.prefix}.{self.layer}.{number}"
            for name, (outputs, inputs) in self.linear.items():
                shape = (sides[outputs], sides[inputs])
                found[f"{place}.{name}.weight"] = shape[::-1] if self.transposed else shape
                if self._has_bias(name, config):
                    found[f"{place}.{name}.bias"] = (sides[outputs],)
            for name, width in self.norms.items():
                found |= self._norm(f"{place}.{name}", sides[width])
        found |= self._norm(f"{self.prefix}.{self.last_norm}", numbers.hidden)
        if not tied:
            found[f"{self.head}.weight"] = (numbers.vocabulary, numbers.hidden)
        if self.head_bias:
            found[f"{self.head}.bias"] = (numbers.vocabulary,)
        return found

    def _has_bias(self, name: str, config: Mapping[str, Any]) -> bool:
        key = "mlp_bias" if name.startswith("mlp") else "attention_bias"
        return name in self.biases or (not self.biases and config.get(key) is True)

    def _norm(self, name: str, width: int) -> Shapes:
        return {f"{name}.{part}": (width,) for part in (("weight", "bias") if self.norm_bias else ("weight",))}


_ATTENTION = {
    "self_attn.q_proj": ("queries", "hidden"),
    "self_attn.k_proj": ("keys", "hidden"),
    "self_attn.v_proj": ("keys", "hidden"),
    "self_attn.o_proj": ("hidden", "queries"),
}
_GATED = {
    "mlp.gate_proj": ("inner", "hidden"),
    "mlp.up_proj": ("inner", "hidden"),
    "mlp.down_proj": ("hidden", "inner"),
}
_NORMS = {"input_layernorm": "hidden", "post_attention_layernorm": "hidden"}
_QK = {"self_attn.q_norm": "head", "self_attn.k_norm": "head"}
_FOUR = _NORMS | {"pre_feedforward_layernorm": "hidden", "post_feedforward_layernorm": "hidden"}
_LLAMA = Architecture(_ATTENTION | _GATED, _NORMS)
_QWEN2 = replace(_LLAMA, biases=frozenset({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}))
_PHI = {
    "self_attn.q_proj": ("queries", "hidden"),
    "self_attn.k_proj": ("keys", "hidden"),
    "self_attn.v_proj": ("keys", "hidden"),
    "self_attn.dense": ("hidden", "queries"),
    "mlp.fc1": ("inner", "hidden"),
    "mlp.fc2": ("hidden", "inner"),
}
_PHI3 = {
    "self_attn.qkv_proj": ("fused", "hidden"),
    "self_attn.o_proj": ("hidden", "queries"),
    "mlp.gate_up_proj": ("twice", "hidden"),
    "mlp.down_proj": ("hidden", "inner"),
}
_GPT2 = {
    "attn.c_attn": ("fused", "hidden"),
    "attn.c_proj": ("hidden", "queries"),
    "mlp.c_fc": ("inner", "hidden"),
    "mlp.c_proj": ("hidden", "inner"),
}
_NEOX = {
    "attention.query_key_value": ("fused", "hidden"),
    "attention.dense": ("hidden", "queries"),
    "mlp.dense_h_to_4h": ("inner", "hidden"),
    "mlp.dense_4h_to_h": ("hidden", "inner"),
}
ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "smollm3": replace(_LLAMA, tied=True),
    "qwen2": _QWEN2,
    "qwen3": replace(_LLAMA, norms=_NORMS | _QK),
    "gemma": replace(_LLAMA, tied=True),
    "gemma2": replace(_LLAMA, norms=_FOUR, tied=True),
    "gemma3_text": replace(_LLAMA, norms=_FOUR | _QK, tied=True),
    "phi": Architecture(
        _PHI,
        {"input_layernorm": "hidden"},
        last_norm="final_layernorm",
        biases=frozenset(_PHI),
        norm_bias=True,
        head_bias=True,
    ),
    "phi3": Architecture(_PHI3, _NORMS),
    "gpt2": Architecture(
        _GPT2,
        {"ln_1": "hidden", "ln_2": "hidden"},
        prefix="transformer",
        embedding="wte",
        layer="h",
        last_norm="ln_f",
        biases=frozenset(_GPT2),
        norm_bias=True,
        transposed=True,
        position_embedding="wpe",
        tied=True,
    ),
    "gpt_neox": Architecture(
        _NEOX,
        _NORMS,
        prefix="gpt_neox",
        embedding="embed_in",
        last_norm="final_layer_norm",
        head="embed_out",
        biases=frozenset(_NEOX),
        norm_bias=True,
    ),
}
"""By the `model_type` of a config."""
