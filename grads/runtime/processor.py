"""The processor of this machine, as far as it decides how numbers are added up and how fast: read without torch."""

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# A flag of the processor, and what torch and oneDNN then compute with, the best first.
INSTRUCTIONS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 bf16, no AMX",
    "avx512f": "AVX-512 without bf16, no AMX",
    "avx2": "AVX2, no AVX-512",
}
BF16 = {"amx_bf16", "avx512_bf16", "bf16"}  # The last is Arm's.
# What keeps oneDNN and torch from instructions that are there.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")


def instruction_set() -> str:
    """Return the instructions for matrices that this processor has, such as `AVX-512 bf16, no AMX`, and their limits.

    Where no such instruction is known, it is the architecture, such as `arm64`.
    """
    flags = _flags()
    found = next((name for flag, name in INSTRUCTIONS.items() if flag in flags), platform.machine())
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name)]
    return f"{found} ({', '.join(limits)})" if limits else found


def computes_in_bf16() -> bool:
    """Return whether this processor multiplies matrices in bf16; others are many times slower than in float32."""
    return bool(BF16 & _flags())


def _flags() -> set[str]:
    """Return the flags of the first processor; none where the system does not list them."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                return set(line.partition(":")[2].split())
    return set()
