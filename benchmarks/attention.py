"""`python -m benchmarks.attention`: causal attention on a CPU, forward and backward, ours next to torch's."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.machine import measured_on, processor_line
from grads.models.cpu.attention import causal_attention
from grads.runtime.libraries import settle_libraries
from grads.runtime.progress import say

# Records and tokens of batches of about 2,048 tokens; heads, groups of keys and width of SmolLM2-135M.
SHAPES = ((37, 50), (12, 170), (4, 512), (2, 1024), (1, 2048))
HEADS, GROUPS, WIDTH = 9, 3, 64
SCALE = WIDTH**-0.5

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def ours(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The probe's."""
    return causal_attention(query, key, value, SCALE)


def theirs(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The fused kernel of torch."""
    return scaled_dot_product_attention(query, key, value, is_causal=True, scale=SCALE, enable_gqa=True)


def seconds(attention: Attention, records: int, tokens: int) -> tuple[float, float]:
    """Return how long one forward and one backward pass take, in bf16."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(records, heads, tokens, WIDTH) for heads in (HEADS, GROUPS, GROUPS)]
    inputs = [torch.randn(s, generator=generator).bfloat16().requires_grad_(True) for s in shapes]
    started = time.perf_counter()
    result = attention(*inputs)
    forward = time.perf_counter() - started
    gradient = torch.ones_like(result)
    started = time.perf_counter()
    torch.autograd.grad(result, inputs, gradient)
    return forward, time.perf_counter() - started


def compare(shapes: Sequence[tuple[int, int]], repeats: int) -> str:
    """Return the Markdown table: medians of interleaved repeats, after one that is not counted."""
    lines = ["| records x tokens | pass | torch, ms | ours, ms | ours / torch |", "| :-- | :-- | --: | --: | --: |"]
    for records, tokens in shapes:
        both = [[seconds(one, records, tokens) for one in (theirs, ours)] for _ in range(repeats + 1)][1:]
        for index, name in enumerate(("forward", "backward")):
            torchs, mine = (1000 * statistics.median(run[side][index] for run in both) for side in (0, 1))
            lines.append(f"| {records} x {tokens} | {name} | {torchs:.1f} | {mine:.1f} | {mine / torchs:.2f} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="repeats of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    options = parser.parse_args(arguments)
    settle_libraries()
    torch.set_num_threads(options.threads)
    say(f"{processor_line(measured_on())}, {options.threads} threads\n\n{compare(SHAPES, options.repeats)}")


if __name__ == "__main__":
    main()
