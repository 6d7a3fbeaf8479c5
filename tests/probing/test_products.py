"""No product that a probe makes kills a process on a processor with AMX, whatever it measures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from transformers import LlamaConfig, LlamaForCausalLM

from grads.config.features import Features
from grads.data.records.formatting import Example
from grads.models.load import load_model
from grads.probing.measure import measure
from grads.signals.names import GRADIENTS, LOSSES, MEANS

VOCABULARY = 49_152
# Records of few response tokens, alone in a batch and together.
EXAMPLES = [Example(f"record{n}", list(range(7, 19 + n)), 6 + n % 2) for n in range(3)]
PREDICTIONS = {*LOSSES, *MEANS, "losses", "token_losses"}
WHOLE = {"adapter", "adam_features"}


@pytest.fixture(scope="module")
def long_model(long_model_folder: Path) -> nn.Module:
    return load_model(long_model_folder, "bf16")


@pytest.fixture(scope="module")
def wide() -> nn.Module:
    """A model whose linear layers have more outputs, and more inputs, than a product of few rows may have inside."""
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 8192, "num_attention_heads": 2, "num_hidden_layers": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=97, **shape)).bfloat16().eval()


@pytest.mark.parametrize("budget", [1, 100])
@pytest.mark.parametrize("measures", [PREDICTIONS, {"gradients", "mean_abs"}], ids=["forward", "gradients"])
def test_at_the_head(long_model: nn.Module, watched_products: Any, measures: set[str], budget: int) -> None:
    with watched_products:
        measure(long_model, EXAMPLES, measures, budget, 0)
    assert watched_products.longest == VOCABULARY
    assert not watched_products.fatal


@pytest.mark.parametrize("projection", ["kronecker", "dense"])
def test_with_an_adapter(
    long_model: nn.Module,
    with_adapter: Callable[[nn.Module], nn.Module],
    moments_for: Callable[[nn.Module], Any],
    watched_products: Any,
    projection: Any,
) -> None:
    model = with_adapter(long_model)
    short = {"dimension": 8} if projection == "dense" else {"size": 4}
    options = {"features": Features(projection=projection, **short), "moments": moments_for(model)}
    with watched_products:
        measure(model, EXAMPLES, (GRADIENTS - {"weights"}) | PREDICTIONS, 100, 0, **options)
    assert watched_products.longest == VOCABULARY
    assert not watched_products.fatal


# What torch makes of a layer itself is not told of here: a wide layer's own product needs 49,152 inputs to be fatal.
LONG = Example("long", [5 + n % 90 for n in range(33)], 8)


def test_at_wide_layers(wide: nn.Module, watched_products: Any) -> None:
    with watched_products:
        measure(wide, [LONG, *EXAMPLES], ["weights", "sgd_features", "gradients"], 1, 0)
    assert watched_products.longest == 8192
    assert not [product for product in watched_products.fatal if "bmm" in product]


def test_at_wide_layers_that_are_compiled(wide: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled products are read from the graphs that the compiler is given."""
    from ..products import is_fatal

    seen: list[tuple[tuple[int, ...], ...]] = []

    def read(graph: torch.fx.GraphModule, _inputs: Any) -> Any:
        for node in graph.graph.nodes:
            if node.target in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
                seen.append(tuple(tuple(map(int, argument.meta["val"].shape)) for argument in node.args))
        return graph.forward

    compile_module = nn.Module.compile
    backend = aot_autograd(fw_compiler=read)
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compile_module(self, backend=backend, **options))
    torch._dynamo.reset()
    try:
        measure(wide, [LONG], ["weights", "gradients"], 1, 0, compiled=True)
    finally:
        torch._dynamo.reset()
    assert max(size for product in seen for shape in product for size in shape) == 8192
    assert not [product for product in seen if len(product[0]) == 3 and is_fatal(*product)]
