"""`grads doctor`: what this machine has, and whether the probe counts right on it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import typer

TOLERANCE = 1e-4
"""Largest relative difference of a record's gradient statistics, alone and in a batch, in float32."""


def doctor() -> None:
    """Show versions, device, threads and disk, and check the probe on a tiny model.

    Exit status 1 says that a check failed.

    \b
    Example:
      grads doctor
    """
    from grads.runtime.locks import local_devices
    from grads.runtime.manifest import environment
    from grads.runtime.process import settle_libraries

    settle_libraries()
    import torch  # noqa: F401  # so that the environment knows the device

    found = environment()
    machine, disk = found["machine"], shutil.disk_usage(Path())
    threads = os.environ.get("OMP_NUM_THREADS", "not set (jobs of the workflow set their own)")
    lines = {
        "python": f"{machine['python']} ({sys.executable})",
        "system": machine["system"],
        "processor": f"{machine['processor']}, {os.cpu_count()} cores; OMP_NUM_THREADS {threads}",
        "device": f"{machine['device']} ({local_devices()} NVIDIA devices)",
        "disk": f"{disk.free / 1e9:.0f} GB free of {disk.total / 1e9:.0f} GB",
        "code": found["git"],
        "libraries": ", ".join(f"{name} {version}" for name, version in found["libraries"].items()),
    }
    for name, text in lines.items():
        typer.echo(f"{name:10} {text}")
    failed = [name for name, check in CHECKS.items() if not _passes(name, check)]
    if failed:
        raise typer.Exit(1)


def _passes(name: str, check: Callable[[], tuple[bool, str]]) -> bool:
    passed, text = check()
    typer.echo(f"{'ok' if passed else 'FAILED':10} {name}: {text}")
    return passed


def batch_invariance() -> tuple[bool, str]:
    """Return whether a record's gradient statistics are the same alone and in a batch."""
    import numpy as np
    import pandas as pd

    from grads.data.formatting import Formatter
    from grads.data.records import make_record
    from grads.models.load import load_model, load_tokenizer
    from grads.models.prepare import prepare_model
    from grads.probe.measure import measure
    from grads.study.config import Format, TinySource

    records = [make_record(f"Say {'so ' * count}.", "", "Yes, " * (count % 4 + 1)) for count in range(1, 9)]
    with tempfile.TemporaryDirectory(prefix="grads-doctor-") as folder:
        prepare_model(TinySource(kind="tiny"), None, Path(folder) / "model")
        tokenizer = load_tokenizer(Path(folder) / "model")
        model = load_model(Path(folder) / "model", "float32")
        examples = Formatter(tokenizer, Format()).tokenize(records, 512, "drop").examples
        alone, together = (
            pd.DataFrame(measure(model, examples, ["gradients"], budget, tokenizer.pad_token_id).columns).to_numpy()
            for budget in (1, 4096)
        )
    # Relative to the record's own value, but not to one that is zero next to the others', or zero by identity.
    scale = np.maximum(np.abs(alone), np.maximum(1e-3 * np.abs(alone).max(axis=0), 1e-6))
    largest = float(np.max(np.abs(alone - together) / scale))
    return largest <= TOLERANCE, f"largest relative difference alone against in a batch {largest:.1e}"


def network_off() -> tuple[bool, str]:
    """Return whether the hub is switched off, as it is in jobs."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return HF_HUB_OFFLINE, "the hub is switched off in jobs" if HF_HUB_OFFLINE else "the hub can be reached from jobs"


CHECKS = {"batch invariance of the probe": batch_invariance, "network": network_off}
