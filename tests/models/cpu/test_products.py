"""Products over a long inner dimension: what they are, and that they are made of short ones where a CPU needs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from grads.models.cpu.products import FEW, INNER, gram, head_output, product

# Sizes of known vocabularies, and of the inputs of very wide layers; powers of two die in any cache that is one.
VOCABULARIES = (
    32_000, 32_768, 49_152, 50_257, 50_304, 65_536, 98_304, 128_256, 131_072, 151_936, 152_064, 200_064, 256_000,
    262_144,
)  # fmt: skip
# Rows for which some cache of a power of two makes oneDNN divide by zero, and their neighbours.
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 23, 24, 31, 32, 33, 48, 64)
PROCESSOR = Path("/proc/cpuinfo")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def error(found: Tensor, exact: Tensor) -> float:
    return ((found.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("rows", [1, 5, 32, FEW])
@pytest.mark.parametrize("inner", [INNER + 1, 3 * INNER, 49_152])
def test_short_products_add_up_to_the_long_one(rows: int, inner: int, watched_products) -> None:
    left, right = normal(rows, inner), normal(inner, 7, seed=1)
    with watched_products:
        found, inner_products = product(left, right), gram(left)
    assert not watched_products.fatal
    assert watched_products.longest <= INNER
    for made, exact in ((found, left.double() @ right.double()), (inner_products, left.double() @ left.double().mT)):
        assert made.dtype == torch.float32
        # Never worse than the one product, whose entries are rounded to 8 bits.
        assert error(made, exact) <= 2**-8


def test_errors_are_multiplied_no_less_exactly_than_at_once() -> None:
    torch.manual_seed(0)
    logits = torch.randn(24, 49_152) * 3
    errors = (logits.softmax(dim=1) - nn.functional.one_hot(logits.argmax(dim=1), 49_152)).bfloat16()
    weights = (torch.randn(49_152, 8) / 8).bfloat16()
    exact = errors.double() @ errors.double().mT
    assert error(gram(errors), exact) <= 1e-6
    assert error(errors @ errors.mT, exact) >= 1e-4
    # Rounded as one product is, part by part.
    exact = errors.double() @ weights.double()
    assert error(product(errors, weights), exact) <= 1.5 * error(errors @ weights, exact)


def test_records_are_multiplied_each_by_its_own() -> None:
    rows = normal(3, 5, 2 * INNER)
    assert torch.equal(gram(rows), torch.stack([gram(part) for part in rows]))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_what_is_not_long_or_not_half_is_one_product(kind: torch.dtype) -> None:
    for rows, inner in ((FEW + 1, INNER + 1), (5, INNER)) if kind == torch.bfloat16 else ((5, 2 * INNER),):
        left, right = normal(rows, inner).to(kind), normal(inner, FEW + 1, seed=1).to(kind)
        assert torch.equal(product(left, right), (left @ right).float())
        assert torch.equal(gram(left), (left @ left.mT).float())


def gradients(layer: nn.Linear, rows: Tensor, output: Tensor) -> list[Tensor]:
    """Return the gradients of weights, bias and rows."""
    loss = cross_entropy(output.float(), torch.arange(output.shape[0]))
    return list(torch.autograd.grad(loss, [layer.weight, layer.bias, rows]))


@pytest.mark.parametrize("autocast", [False, True])
def test_the_heads_gradients_are_its_own_and_need_no_fatal_product(autocast: bool, watched_products) -> None:
    torch.manual_seed(0)
    kind = torch.float32 if autocast else torch.bfloat16
    layer, rows = nn.Linear(48, 49_152, dtype=kind), normal(6, 48).to(kind).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        expected = gradients(layer, rows, layer(rows))
        with watched_products:
            output = head_output(layer, rows)
            found = gradients(layer, rows, output)
    assert output.shape == (6, 49_152)
    assert not watched_products.fatal
    assert watched_products.longest == 49_152
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=2e-2, atol=1e-2 * other.abs().max().item())


@pytest.mark.parametrize("shape", [(6, 8), (2, 3, 8), (FEW + 1, 8)])
def test_a_head_gets_more_rows_only_for_a_backward_pass_in_half(shape: tuple[int, ...]) -> None:
    layer, seen = nn.Linear(8, 5), []
    layer.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].numel() // 8))
    rows = torch.randn(shape)
    count = rows.numel() // 8
    head_output(layer, rows.requires_grad_())
    with torch.autocast("cpu", torch.bfloat16):
        assert head_output(layer, rows).shape == (*shape[:-1], 5)
        head_output(layer, rows.detach())
        with torch.inference_mode():
            head_output(layer, rows)
    assert seen == [count, max(count, FEW + 1), count, count]


def test_the_watch_knows_what_kills(watched_products) -> None:
    rows = normal(8, 49_152)
    with watched_products, torch.inference_mode():
        _ = rows @ rows.mT
        nn.functional.linear(rows[None], normal(40, 49_152))
        _ = (
            normal(40, 49_152) @ normal(49_152, 40),
            rows.float() @ rows.float().mT,
            normal(8, 4_096) @ rows[:8, :4_096].mT,
        )
    assert len(watched_products.fatal) == 2
    with pytest.raises(AssertionError, match="a matrix product"), watched_products:
        nn.functional.conv1d(normal(1, 2, 9), normal(3, 2, 3))


DIES = """
import sys, torch
from grads.models.cpu.products import gram, head_output, product
size, rows = int(sys.argv[1]), [int(count) for count in sys.argv[2:]]
torch.set_num_threads(1)
weights = torch.full((size, 80), 0.5, dtype=torch.bfloat16)
head = torch.nn.Linear(80, size, bias=False, dtype=torch.bfloat16)
for count in rows:
    errors = torch.full((count, size), 0.5, dtype=torch.bfloat16)
    gram(errors), gram(weights.mT[:count]), product(errors, weights), product(weights.mT[:count], weights)
    head_output(head, torch.ones(count, 80, dtype=torch.bfloat16, requires_grad=True)).sum().backward()
"""


def has_amx() -> bool:
    return PROCESSOR.is_file() and "amx_bf16" in PROCESSOR.read_text().split()


@pytest.mark.skipif(not has_amx(), reason="the processor has no AMX, whose code is what fails")
@pytest.mark.parametrize("size", VOCABULARIES)
def test_no_vocabulary_kills_a_process_with_amx(size: int) -> None:
    command = [sys.executable, "-c", DIES, str(size), *map(str, ROWS)]
    environment = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    died = signal.Signals(-run.returncode).name if run.returncode < 0 else run.returncode
    assert died == 0, f"{died}: {run.stderr[-500:]}"
