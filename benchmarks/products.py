"""`python -m benchmarks.products`: what it costs that a CPU makes no product that oneDNN's code for AMX dies of.

The probe's work at the LM head, with the products of `grads.models.cpu.products` and with torch's plain ones in bf16.
The sizes are none that any cache of a power of two makes fatal.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.machine import measured_on, processor_line
from grads.models.cpu import products
from grads.probing.gradients.gradient_statistics import head_moments
from grads.probing.gradients.head import Head
from grads.runtime.libraries import settle_libraries
from grads.runtime.progress import say

# Response tokens of a record; vocabulary and width of SmolLM2-135M.
TOKENS = (7, 20, 31, 50)
VOCABULARY, WIDTH = 49_152, 576


def plain() -> AbstractContextManager[object]:
    """Let torch make the products at once."""
    return patch.object(products, "INNER", VOCABULARY)


def work(tokens: int) -> dict[str, Callable[[], object]]:
    """Return what is timed for a record of so many response tokens, by name."""
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(VOCABULARY, WIDTH, generator=generator) / 20).bfloat16()
    head = Head(weight, None, None)
    hidden = torch.randn(tokens, WIDTH, generator=generator).bfloat16()
    targets = torch.randint(VOCABULARY, (tokens,), generator=generator)
    errors = head.errors(hidden, targets)[2]
    return {
        "inner products of errors": lambda: products.gram(errors),
        "errors back through the head": lambda: products.product(errors, weight),
        "statistics of the head's gradient": lambda: head_moments([errors], [hidden], True, False),
        "all of the head": lambda: _all(head, hidden, targets),
    }


def _all(head: Head, hidden: Tensor, targets: Tensor) -> None:
    """Losses, errors, the gradient at the head's inputs, and the statistics of that of its weights."""
    _, _, errors = head.errors(hidden, targets)
    products.product(errors, head.weight)
    head_moments([errors], [hidden], True, False)


def compare(tokens: Sequence[int], repeats: int) -> str:
    """Return the Markdown table: medians of interleaved repeats, after one that is not counted."""
    lines = ["| response tokens | work | plain, ms | ours, ms | ours / plain |", "| --: | :-- | --: | --: | --: |"]
    for count in tokens:
        for name, run in work(count).items():
            both = [(_seconds(run, with_plain=True), _seconds(run)) for _ in range(repeats + 1)][1:]
            theirs, mine = (1000 * statistics.median(times) for times in zip(*both, strict=True))
            lines.append(f"| {count} | {name} | {theirs:.2f} | {mine:.2f} | {mine / theirs:.2f} |")
    return "\n".join(lines) + "\n"


def _seconds(run: Callable[[], object], with_plain: bool = False) -> float:
    if with_plain:
        with plain():
            return _seconds(run)
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="repeats of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    options = parser.parse_args(arguments)
    settle_libraries()
    torch.set_num_threads(options.threads)
    say(f"{processor_line(measured_on())}, {options.threads} threads\n\n{compare(TOKENS, options.repeats)}")


if __name__ == "__main__":
    main()
