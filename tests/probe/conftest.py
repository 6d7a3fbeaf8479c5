"""Tiny random models of several architectures, and examples for them, as fixtures."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, LlamaConfig

from grads.data.formatting import Example

PADDING = 3
LLAMA = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.2,
}  # fmt: skip


def build_model(name: str) -> nn.Module:
    """Return a random float32 model; weights are wide enough for losses that differ from token to token."""
    torch.manual_seed(0)
    architecture, _, tie = name.partition("-")
    tied = tie != "untied"
    if architecture == "llama":
        # A padding row, which autograd leaves without a gradient.
        config = LlamaConfig(**LLAMA, tie_word_embeddings=tied, pad_token_id=PADDING)
    elif architecture == "gemma2":
        config = Gemma2Config(**LLAMA, head_dim=8, final_logit_softcapping=3.0, sliding_window=64, pad_token_id=PADDING)
    else:
        config = GPT2Config(
            vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=64, tie_word_embeddings=tied,
            initializer_range=0.2, bos_token_id=1, eos_token_id=2,
        )  # fmt: skip
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()


def add_adapter(model: nn.Module) -> nn.Module:
    """Return the model with a LoRA adapter whose B is not zero."""
    torch.manual_seed(1)
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(r=4, lora_alpha=16, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3)
    return adapted.eval()


def random_examples(count: int, seed: int = 0) -> list[Example]:
    """Return examples of 3 to 24 tokens with repeated ids, among them the padding id."""
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for index in range(count):
        prompt, response = torch.randint(2, 13, (2,), generator=generator).tolist()
        ids = torch.randint(4, 40, (prompt + response,), generator=generator).tolist()
        ids[0] = ids[-1] = PADDING
        examples.append(Example(f"record{index}", ids, prompt))
    examples.append(Example("one-token", [5, 6, 7], 2))
    examples.append(Example("conversation", [7, 5, 9, 8, 3, 6, 7, 30, 31, 3, 12], 9, earlier=((2, 5), (6, 7))))
    return examples


@pytest.fixture(scope="session")
def sizes() -> dict[str, Any]:
    """Settings that llama-like configs share."""
    return LLAMA


@pytest.fixture(scope="session")
def build() -> Callable[[str], nn.Module]:
    return build_model


@pytest.fixture(scope="session")
def with_adapter() -> Callable[[nn.Module], nn.Module]:
    return add_adapter


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return random_examples(11)


@pytest.fixture(scope="session")
def llama() -> nn.Module:
    return build_model("llama-tied")
