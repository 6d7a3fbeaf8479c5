"""What the processor can, from what the kernel lists."""

import platform
from pathlib import Path

import pytest

from grads.runtime import processor
from grads.runtime.processor import LIMITS, computes_in_bf16, instruction_set

AVX2 = "fpu sse2 avx avx2"
AVX512 = f"{AVX2} avx512f avx512bw"


@pytest.fixture
def with_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes this machine's processor one with such flags."""
    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)

    def make(flags: str) -> None:
        listed = "".join(f"processor\t: {n}\nmodel name\t: X\nflags\t\t: {flags}\nbugs\t: avx512f\n" for n in (0, 1))
        (tmp_path / "cpuinfo").write_text(listed)
        monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")

    return make


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (f"{AVX512} avx512_bf16 amx_bf16 amx_tile amx_int8", "AMX"),
        (f"{AVX512} avx512_bf16", "AVX-512 bf16, no AMX"),
        (AVX512, "AVX-512 without bf16, no AMX"),
        (AVX2, "AVX2, no AVX-512"),
        ("fpu sse2", platform.machine()),
    ],
)
def test_the_best_instructions_are_named(with_flags, flags: str, expected: str) -> None:
    with_flags(flags)
    assert instruction_set() == expected


@pytest.mark.parametrize(
    ("flags", "native"), [(f"{AVX512} avx512_bf16", True), (AVX512, False), (AVX2, False), ("asimd bf16", True)]
)
def test_bf16_is_native_or_not(with_flags, flags: str, native: bool) -> None:
    with_flags(flags)
    assert computes_in_bf16() is native


def test_what_limits_them_is_named(with_flags, monkeypatch: pytest.MonkeyPatch) -> None:
    with_flags(f"{AVX512} avx512_bf16 amx_bf16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "")
    assert instruction_set() == "AMX (ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16)"


def test_a_system_that_lists_no_flags_has_its_architecture(with_flags, monkeypatch, tmp_path: Path) -> None:
    with_flags("")
    assert instruction_set() == platform.machine()
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "absent")
    assert instruction_set() == platform.machine()
