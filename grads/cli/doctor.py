"""`grads doctor`: what this machine has, and whether the probe counts right on it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grads.api.checks import check_choice, check_data
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

if TYPE_CHECKING:
    from grads.config.section import Precision


def doctor(
    model: Annotated[
        str | None, typer.Option(help="Check the probe of this model, named as in `grads probe`.", metavar="PATH_OR_ID")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Check it on the first records of this file instead of built-in ones.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Type of the model's weights, `float32` or `bf16`.")] = "float32",
    compile_: Annotated[
        bool, typer.Option("--compile", help="Check compiled layers too, which takes a minute.")
    ] = False,
) -> None:
    """Show versions, device, threads and disk, and check the probe on a tiny model; or check it on a model of yours.

    The probe of a model must measure the same of a record alone, in any batch and in any order: the largest
    difference of each signal is printed next to what is allowed, and exit status 2 says that there was more.
    Without a model, exit status 1 says that a check failed.

    \b
    Examples:
      grads doctor
      grads doctor --model ./my-model --data train.jsonl
    """
    if model is not None:
        check_choice(dtype, ("float32", "bf16"), "--dtype")
        return _check_model(model, data, "bf16" if dtype == "bf16" else "float32", compile_)
    if data is not None or compile_ or dtype != "float32":
        raise GradsError("--data, --dtype and --compile are of the check of a model: add --model")
    _show_machine()
    failed = [name for name, check in CHECKS.items() if not _passes(name, check)]
    if failed:
        raise typer.Exit(1)
    return None


def _check_model(model: str, data: Path | None, precision: "Precision", compiled: bool) -> None:
    """Print the largest error of each signal, and stop with a sentence where one is too large."""
    if data is not None:
        check_data(data)
    from grads.cli.invariance import model_errors

    errors, refused = model_errors(model, data, precision, compiled)
    typer.echo(f"{'signal':20} {'error':8} allowed")
    for name, (error, allowed) in errors.items():
        typer.echo(f"{name:20} {error:<8.1e} {allowed:<8g}{'' if error <= allowed else ' TOO LARGE'}".rstrip())
    for whose, reason in refused.items():
        say(f"signals of {whose} are not checked: {reason}")
    name, (error, allowed) = max(errors.items(), key=lambda item: item[1][0] / item[1][1])
    if error > allowed:
        raise GradsError(
            f"with {model}, {name} of a record changes by {error:.1e} with the other records of its batch, more than "
            f"{allowed:g}: probe it with --token-budget 1 (probe.token_budget), and report it with what "
            "`grads doctor` prints"
        )


def _show_machine() -> None:
    from grads.runtime.environment import environment
    from grads.runtime.libraries import settle_libraries
    from grads.runtime.locks import local_devices
    from grads.runtime.places import mount_of

    settle_libraries()
    import torch  # before the environment, which then knows the device

    found = environment()
    machine = found["machine"]
    disk = shutil.disk_usage(results_folder())
    threads = os.environ.get("OMP_NUM_THREADS", "not set (jobs of the workflow set their own)")
    lines = {
        "python": f"{machine['python']} ({sys.executable})",
        "system": machine["system"],
        "processor": f"{machine['processor']}, {os.cpu_count()} cores; OMP_NUM_THREADS {threads}",
        "computes": f"{machine['instructions']}; torch's own kernels {torch.backends.cpu.get_cpu_capability()}",
        "device": f"{machine['device']} ({local_devices()} GPUs shown by drivers: NVIDIA, ROCm or WSL2)",
        "disk": f"{disk.free / 1e9:.0f} GB free of {disk.total / 1e9:.0f} GB, results on {mount_of(results_folder())}",
        "code": found["git"],
        "libraries": ", ".join(f"{name} {version}" for name, version in found["libraries"].items()),
    }
    for name, text in lines.items():
        typer.echo(f"{name:10} {text}")


def _passes(name: str, check: Callable[[], tuple[bool, str]]) -> bool:
    passed, text = check()
    typer.echo(f"{'ok' if passed else 'FAILED':10} {name}: {text}")
    return passed


def batch_invariance() -> tuple[bool, str]:
    """Return whether a record's gradient statistics are the same alone and in a batch."""
    from grads.config.models import Format
    from grads.config.sources import TinySource
    from grads.data.records.formatting import Formatter
    from grads.data.records.record import make_record
    from grads.models.load import load_model, load_tokenizer
    from grads.models.prepare import prepare_model
    from grads.probing.invariance import batch_errors
    from grads.probing.tolerances import SAME

    records = [make_record(f"Say {'so ' * count}.", "", "Yes, " * (count % 4 + 1)) for count in range(1, 9)]
    with tempfile.TemporaryDirectory(prefix="grads-doctor-") as folder:
        prepare_model(TinySource(kind="tiny"), None, Path(folder) / "model")
        tokenizer = load_tokenizer(Path(folder) / "model")
        model = load_model(Path(folder) / "model", "float32")
    examples = Formatter(tokenizer, Format()).tokenize(records, 512, "drop").examples
    largest = max(batch_errors(model, examples, ["gradients"], tokenizer.pad_token_id).values())
    return largest <= SAME, f"largest relative difference alone against in a batch {largest:.1e}"


def network_off() -> tuple[bool, str]:
    """Return whether the hub is switched off, as it is in jobs."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return HF_HUB_OFFLINE, "the hub is switched off in jobs" if HF_HUB_OFFLINE else "the hub can be reached from jobs"


def results_folder() -> Path:
    """Return the folder that results are in, or will be made in."""
    return Path("results") if Path("results").is_dir() else Path()


def files_of_results() -> tuple[bool, str]:
    """Return whether files where results lie can be written, renamed and locked."""
    from grads.runtime.files import write_text
    from grads.runtime.locks import SWITCH, locks_are_on, probe_locks
    from grads.runtime.places import mount_of, naming_place

    folder = results_folder()
    place = f"{folder.resolve()}, {mount_of(folder)}"
    try:
        with naming_place(folder), tempfile.TemporaryDirectory(prefix=".grads-doctor-", dir=folder) as made:
            for content in ("1", "2"):
                write_text(Path(made) / "file", content)
            whole = (Path(made) / "file").read_text(encoding="utf-8") == "2" and len(list(Path(made).iterdir())) == 1
            if not whole:
                return False, f"a file that was renamed over another is not whole: {place}"
            if not locks_are_on():
                return True, f"files are written whole and {SWITCH}=off: {place}"
            probe_locks(Path(made))
    except GradsError as error:
        return False, str(error)
    return True, f"files are written whole and locked: {place}"


CHECKS = {
    "batch invariance of the probe": batch_invariance,
    "network": network_off,
    "files of results": files_of_results,
}
