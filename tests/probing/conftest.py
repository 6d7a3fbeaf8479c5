"""Tiny random models of many architectures, examples for them, and what autograd says of each, as fixtures."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import one_hot
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    PhiConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.pytorch_utils import Conv1D

from grads.config.features import Features
from grads.data.records.formatting import Example
from grads.models.causal import unwrap
from grads.models.moments import Moments
from grads.probing.gradients.adam import adam_direction
from grads.probing.gradients.projection import make_projection

PADDING = 3
LLAMA = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.2,
}  # fmt: skip
GPT2 = {
    "vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.2,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GEMMA = {"head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8, "pad_token_id": PADDING}
NEOX = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
MIXED = ["sliding_attention", "full_attention"]


def config_of(architecture: str, tied: bool) -> PretrainedConfig:
    """Return a config for a model with an odd vocabulary, two layers, and all that is peculiar to its architecture."""
    makes: dict[str, Callable[[], PretrainedConfig]] = {
        # A padding row, which autograd leaves without a gradient.
        "llama": lambda: LlamaConfig(**LLAMA, tie_word_embeddings=tied, pad_token_id=PADDING),
        "qwen2": lambda: Qwen2Config(**LLAMA, tie_word_embeddings=tied),
        "qwen3": lambda: Qwen3Config(**LLAMA, head_dim=8, tie_word_embeddings=tied),
        # Most records are longer than the window.
        "mistral": lambda: MistralConfig(**LLAMA, head_dim=8, sliding_window=8, tie_word_embeddings=tied),
        "gemma2": lambda: Gemma2Config(**LLAMA, **GEMMA, final_logit_softcapping=3.0, attn_logit_softcapping=2.0),
        "gemma3": lambda: Gemma3TextConfig(**LLAMA, **GEMMA, layer_types=MIXED),
        "gpt2": lambda: GPT2Config(**GPT2, tie_word_embeddings=tied),
        "gpt_neox": lambda: GPTNeoXConfig(**NEOX, use_parallel_residual=True, tie_word_embeddings=tied),
        "phi": lambda: PhiConfig(**LLAMA, partial_rotary_factor=0.5, tie_word_embeddings=tied),
    }
    return makes[architecture]()


def build_model(name: str, attention: str = "eager") -> nn.Module:
    """Return a random float32 model; weights are wide enough for losses that differ from token to token.

    Args:
        name: architecture, hyphen, `tied` or `untied`.
        attention: transformers' name of the implementation.
    """
    torch.manual_seed(0)
    architecture, _, tie = name.partition("-")
    config = config_of(architecture, tie != "untied")
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attention).eval()
    with torch.no_grad():
        # Biases begin at 0 and norms at 1, where an error in either would not show.
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    return model


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


def random_moments(model: nn.Module) -> Moments:
    """Return moments for an adapter's weights, of the size of their gradients."""
    generator = torch.Generator().manual_seed(5)
    shapes = {name.rsplit(".", 2)[0]: p.shape for name, p in model.named_parameters() if "lora_" in name}
    average = {name: 0.01 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    squared = {name: 0.01 * torch.rand(shape, generator=generator) for name, shape in shapes.items()}
    return Moments(average, squared, 7, (0.9, 0.99), 1e-6)


class Autograd:
    """What autograd says of one example at a time, with embedding and head made separate parameters.

    Args:
        model: with or without an adapter; it is copied.
        features: how the gradients of the adapter, or else of the linear layers' weights, become a vector.
        moments: for `adam_features`.
        layer: whose output `layer_hidden` averages, counted from 1; not the last one.
    """

    def __init__(
        self, model: nn.Module, features: Features | None = None, moments: Moments | None = None, layer: int = 1
    ) -> None:
        self.model, self.moments, self.layer = copy.deepcopy(model).eval().requires_grad_(False), moments, layer
        self.features = features or Features()
        core: Any = unwrap(self.model)
        self.ends = {"embedding": core.get_input_embeddings(), "head": core.get_output_embeddings()}
        for module in self.ends.values():
            module.weight = nn.Parameter(module.weight.detach().clone())
        names = {name.rsplit(".", 2)[0]: p for name, p in self.model.named_parameters() if "lora_" in name}
        self.adapter = {name: p.requires_grad_() for name, p in names.items()}
        self.weights = {} if self.adapter else self._linear_weights(core)

    def _linear_weights(self, core: nn.Module) -> dict[str, nn.Parameter]:
        linear = {
            n: m for n, m in core.named_modules() if isinstance(m, nn.Linear | Conv1D) and m is not self.ends["head"]
        }
        self.flipped = {f"{name}.weight" for name, module in linear.items() if isinstance(module, Conv1D)}
        return {f"{name}.weight": module.weight.requires_grad_() for name, module in linear.items()}

    def __call__(self, example: Example) -> tuple[dict[str, float], dict[str, np.ndarray], np.ndarray]:
        """Return all columns, all vectors, and the losses of the response tokens."""
        self.model.zero_grad()
        ids = torch.tensor([example.input_ids])
        with self._head_inputs() as inputs:
            output = self.model(input_ids=ids, output_hidden_states=True)
        losses = nn.functional.cross_entropy(output.logits[0, :-1], ids[0, 1:], reduction="none")
        where = torch.tensor([position - 1 for position in example.response_positions if position > 0])
        losses[where].mean().backward()
        columns = self._losses(example, output.logits[0, where].detach(), ids[0, where + 1], losses.detach(), where)
        for name, module in self.ends.items():
            columns |= _statistics(name, [module.weight.grad])
        if self.adapter:
            columns |= _statistics("adapter", [p.grad for p in self.adapter.values()])
        else:
            columns["weights_l2"] = sum(p.grad.double().square().sum() for p in self.weights.values()).sqrt().item()
        with torch.no_grad():
            vectors = self._vectors(ids, inputs[0][0], output.hidden_states[self.layer][0])
        return columns, vectors, losses[where].detach().float().numpy()

    @contextmanager
    def _head_inputs(self) -> Iterator[list[Tensor]]:
        seen: list[Tensor] = []
        hook = self.ends["head"].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
        try:
            yield seen
        finally:
            hook.remove()

    @torch.no_grad()
    def _losses(
        self, example: Example, logits: Tensor, targets: Tensor, losses: Tensor, where: Tensor
    ) -> dict[str, float]:
        error = logits.softmax(dim=-1) - one_hot(targets, logits.shape[-1])
        alone = torch.tensor([[example.input_ids[0], *example.input_ids[example.prompt_tokens :]]])
        without = nn.functional.cross_entropy(self.model(input_ids=alone).logits[0, :-1], alone[0, 1:])
        return {
            "response_nll": losses[where].mean().item(),
            "prompt_nll": losses[: example.prompt_tokens - 1].mean().item(),
            "sequence_nll": losses.mean().item(),
            "unconditional_nll": without.item(),
            "el2n": error.norm(dim=1).mean().item(),
            "low_ppl_fraction": (losses[where].exp() <= 2.5).float().mean().item(),
        }

    def _vectors(self, ids: Tensor, last: Tensor, middle: Tensor) -> dict[str, np.ndarray]:
        position = torch.arange(1, len(last) + 1).float().unsqueeze(1)
        found = {
            "hidden": last.mean(dim=0),
            "weighted_hidden": (last * position).sum(dim=0) / position.sum(),
            "layer_hidden": middle.mean(dim=0),
            "embeddings": self.ends["embedding"](ids)[0].mean(dim=0),
        }
        gradients = {name: p.grad for name, p in (self.adapter or self.weights).items()}
        if not self.adapter:
            gradients = {name: g.T if name in self.flipped else g for name, g in gradients.items()}
        found["sgd_features"] = self._projected(gradients)
        if self.moments is not None:
            settings = {"betas": self.moments.betas, "epsilon": self.moments.epsilon}
            steps = {
                n: adam_direction(g, self.moments.average[n], self.moments.average_squared[n], **settings)
                for n, g in gradients.items()
            }
            found["adam_features"] = self._projected(steps)
        return {name: vector.float().numpy() for name, vector in found.items()}

    def _projected(self, gradients: dict[str, Tensor]) -> Tensor:
        projection = make_projection(self.features)
        flat = self.features.projection == "dense"
        parts = {n: projection.project(n, g[None].flatten(1) if flat else g[None]) for n, g in gradients.items()}
        vector = projection.join(parts)[0]
        return vector / vector.norm() if self.features.unit else vector


def _statistics(name: str, gradients: list[Tensor]) -> dict[str, float]:
    gradient = torch.cat([part.flatten() for part in gradients]).double()
    found = {
        "l2": gradient.norm(), "max": gradient.max(), "min": gradient.min(), "mean": gradient.mean(),
        "std": gradient.std(correction=0), "mean_abs": gradient.abs().mean(), "rms": gradient.square().mean().sqrt(),
    }  # fmt: skip
    return {f"{name}_{key}": value.item() for key, value in found.items()}


def column_error(name: str, found: float, expected: dict[str, float]) -> float:
    """Return how far a column is off: relative, and for a mean, which is a sum that cancels, relative to the entries'
    size: their mean absolute for an adapter, their root mean square for embedding and head."""
    layer, _, statistic = name.partition("_")
    if statistic == "mean":
        return abs(found - expected[name]) / expected[f"{layer}_{'mean_abs' if layer == 'adapter' else 'rms'}"]
    return abs(found - expected[name]) / max(abs(expected[name]), 1e-30) if found != expected[name] else 0.0


def vector_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the distance between two vectors relative to the length of the expected one."""
    return float(np.linalg.norm(found.astype(float) - expected) / np.linalg.norm(expected.astype(float)))


@pytest.fixture(scope="session")
def sizes() -> dict[str, Any]:
    """Settings that llama-like configs share."""
    return LLAMA


@pytest.fixture(scope="session")
def build() -> Callable[..., nn.Module]:
    return build_model


@pytest.fixture(scope="session")
def with_adapter() -> Callable[[nn.Module], nn.Module]:
    return add_adapter


@pytest.fixture(scope="session")
def autograd() -> type[Autograd]:
    return Autograd


@pytest.fixture(scope="session")
def moments_for() -> Callable[[nn.Module], Moments]:
    return random_moments


@pytest.fixture(scope="session")
def errors() -> tuple[Callable[..., float], Callable[..., float]]:
    """How far a column is off, and a vector."""
    return column_error, vector_error


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return random_examples(11)


@pytest.fixture(scope="session")
def llama() -> nn.Module:
    return build_model("llama-tied")
