"""What devices have and how fast they are: the table that jobs are planned with where none of them can be asked.

Numbers are of the makers' data sheets, which are named: dense products in bf16 (without sparsity) and memory in
decimal GB. What of them work of this kind reaches is assumed; UTILISATION says on what grounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from grads.runtime.errors import GradsError, nearest

Kind = Literal["cpu", "cuda"]
GB = 10**9
# Share of a GPU's memory that is left for tensors: the rest is the driver's context, libraries, and gaps.
USABLE = 0.94


@dataclass(frozen=True)
class Device:
    """A device.

    Attributes:
        name: as `grads plan --device` takes it.
        kind: a GPU, as torch calls it (ROCm's too), or a core of a processor.
        memory: bytes; None where it is not known, or the machine's own, which a job asks for by itself.
        flops: dense products in bf16 in a second, in float32 on a processor.
        bandwidth: bytes of its memory that it reads in a second.
        source: where the numbers are from.
    """

    name: str
    kind: Kind
    memory: int | None
    flops: float
    bandwidth: float
    source: str

    @property
    def usable(self) -> int | None:
        """Bytes for tensors; None where `memory` is."""
        return None if self.memory is None else int(USABLE * self.memory)


@dataclass(frozen=True)
class Utilisation:
    """What of a device's numbers is reached.

    Attributes:
        training: share of `flops` in forward and backward passes, padding included.
        forward: the same in forward passes alone.
        bandwidth: share of `bandwidth` where weights are read.
        layer: seconds that a decoder layer takes at least in one step, whatever its size: its kernels have to be
            launched one by one.
    """

    training: float
    forward: float
    bandwidth: float
    layer: float


UTILISATION: Mapping[Kind, Utilisation] = {
    # GPU: a plain training loop with LoRA, full rows, is reported at 9,600 tokens a second for an 8B model on an H100,
    # 4 operations a weight: 31 % of the data sheet. A plain forward pass reaches about a quarter. A step of decoding
    # launches some 180 kernels a layer with an adapter, at 6 to 8 microseconds each.
    "cuda": Utilisation(training=0.30, forward=0.25, bandwidth=0.60, layer=1.2e-3),
    # Processor: 67 tokens a second of a 135M model in training and 150 in the probe, measured on one core.
    "cpu": Utilisation(training=0.35, forward=0.45, bandwidth=0.60, layer=2.0e-4),
}


def _gpu(name: str, gigabytes: int, teraflops: float, gigabytes_a_second: float, source: str) -> Device:
    return Device(name, "cuda", gigabytes * GB, teraflops * 1e12, gigabytes_a_second * 1e9, source)


CPU = Device(
    "cpu", "cpu", None, 1.0e11, 1.0e10, "one core at 3 GHz with AVX2: 2 products and sums of 8 numbers a cycle"
)
# Where nobody says which GPU it is: as fast as the slowest that is usual in a cluster.
SOME_GPU = Device("gpu", "cuda", None, 312e12, 1.555e12, "as a100-40gb")
_TABLE = (
    CPU,
    SOME_GPU,
    _gpu("rtx3090-24gb", 24, 71, 936, "NVIDIA GA102 whitepaper, table 9: GeForce RTX 3090"),
    _gpu("rtx4090-24gb", 24, 165.2, 1008, "NVIDIA Ada GPU architecture whitepaper, appendix A: GeForce RTX 4090"),
    _gpu("l4-24gb", 24, 121, 300, "NVIDIA L4 data sheet (242 with sparsity)"),
    _gpu("a10-24gb", 24, 125, 600, "NVIDIA A10 data sheet"),
    _gpu("a6000-48gb", 48, 154.8, 768, "NVIDIA RTX A6000 data sheet (309.7 with sparsity)"),
    _gpu("l40s-48gb", 48, 362, 864, "NVIDIA L40S data sheet (733 with sparsity)"),
    _gpu("a100-40gb", 40, 312, 1555, "NVIDIA A100 data sheet, 40 GB"),
    _gpu("a100-80gb", 80, 312, 2039, "NVIDIA A100 data sheet, SXM 80 GB"),
    _gpu("h100-80gb", 80, 989, 3350, "NVIDIA H100 data sheet, SXM (1,979 with sparsity)"),
    _gpu("h100-94gb", 94, 835, 3900, "NVIDIA H100 data sheet, NVL (1,671 with sparsity)"),
    _gpu("h200-141gb", 141, 989, 4800, "NVIDIA H200 data sheet, SXM (1,979 with sparsity)"),
    _gpu("b200-180gb", 180, 2250, 8000, "NVIDIA HGX B200 data sheet (4,500 with sparsity)"),
    _gpu("mi250x-64gb", 64, 191.5, 1638, "AMD Instinct MI250X data sheet; one of its two dies, as torch sees it"),
    _gpu("mi300x-192gb", 192, 1307.4, 5300, "AMD Instinct MI300X data sheet"),
)
DEVICES: Mapping[str, Device] = {device.name: device for device in _TABLE}


def find_device(name: str) -> Device:
    """Return a device of the table.

    Raises:
        GradsError: there is none of that name.
    """
    if name not in DEVICES:
        raise GradsError(f"there is no device '{name}': {nearest(name, DEVICES)}")
    return DEVICES[name]
