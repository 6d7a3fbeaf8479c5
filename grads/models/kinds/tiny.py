"""`tiny`: a random llama made by code, for tests."""

from pathlib import Path
from typing import Any

from grads.config.kinds import ModelKind
from grads.config.sources import TinySource


def tiny_config(source: TinySource) -> dict[str, Any]:
    """Return what the config of the model says that shapes it: one token a byte, and three more."""
    heads = source.width // 8
    return {
        "model_type": "llama",
        "vocab_size": 259,
        "hidden_size": source.width,
        "intermediate_size": 2 * source.width,
        "num_hidden_layers": source.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": False,
    }


def prepare(source: TinySource, _fetched: Path | None, out: Path, _weights: bool) -> None:
    """Make the model and its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from grads.models.prepare import byte_tokenizer

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        **tiny_config(source),
        initializer_range=0.1,  # The usual 0.02 would leave so small a model's next tokens nearly equally likely.
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


SOURCE = ModelKind(section=TinySource, prepare=prepare, known=tiny_config, order=40)
