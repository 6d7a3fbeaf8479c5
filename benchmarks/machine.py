"""Which machine a benchmark ran on: its processor, and the instructions that its matrix products are made of."""

from collections.abc import Mapping
from typing import Any

import torch

from grads.runtime.environment import environment


def measured_on() -> dict[str, Any]:
    """Return the environment of a manifest, and which of torch's own kernels the processor gets (`kernels`)."""
    return environment() | {"kernels": torch.backends.cpu.get_cpu_capability()}


def processor_line(found: Mapping[str, Any]) -> str:
    """Return processor and instructions of what `measured_on` returned, as a page names them."""
    machine = found["machine"]
    return f"{machine['processor']} ({machine['instructions']}; torch's own kernels {found['kernels']})"
