"""The life of a job's process: what it may use, what is written of it, and the sentences that it ends with."""

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.libraries import limit_threads, settle_libraries
from grads.runtime.manifest import begin_artefacts, read_inputs, write_manifests
from grads.runtime.places import place_sentence, temporary_folder
from grads.runtime.preload import hand_over
from grads.runtime.progress import say_error
from grads.runtime.supervisor import die_with_parent, supervise

__all__ = ["die_with_parent", "job"]

# Where every file that a job reads was made by another one.
RESULTS = Path("results")


@contextlib.contextmanager
def job(snakemake: Any, hub: bool = False) -> Iterator[None]:
    """Run the body as a job of the workflow.

    It runs in a process of its own, which a small parent watches (see `grads.runtime.supervisor`): what it prints is
    copied to the job's log, and whatever ends it is said there. Numeric libraries are limited to its threads (so call
    it before importing them) and Hugging Face libraries kept off the network, unless it is there to fetch from the
    `hub`, and their bars off the log. A `GradsError`, a full disk and files that are removed during the run become a
    sentence and exit status 2. What it reads is checked against what its makers recorded, and files from outside
    against the parameter `contents`: their SHA-256 when the job was planned. What is finished gets its manifest.
    """
    started = time.time()
    die_with_parent()
    # What fetches from the hub needs libraries that were loaded with it.
    if not hub:
        hand_over()
    outputs = [Path(output) for output in snakemake.output]
    with _sentences(outputs, []):
        supervise(Path(snakemake.log[0]), outputs, snakemake.rule)
    limit_threads(snakemake.threads)
    settle_libraries(hub)
    with _sentences(outputs, [Path(path) for path in snakemake.input if Path(path).exists()]):
        inputs = read_inputs(snakemake.input, snakemake.params.get("contents") or {}, RESULTS)
        begin_artefacts(snakemake.output)
        yield
        inputs.check_unchanged()
    settings = {"rule": snakemake.rule} | json.loads(json.dumps(dict(snakemake.params.items()), default=str))
    for name in ("micro_batch", "token_budget"):
        if (asked := snakemake.resources.get(name)) is not None:
            settings[name] = asked
    with _sentences(outputs, []):
        write_manifests(snakemake.output, inputs.sha256, settings, started)


@contextlib.contextmanager
def _sentences(outputs: list[Path], inputs: list[Path]) -> Iterator[None]:
    """Turn what the user can fix into its sentence and exit status 2; any other exception is a bug and stays.

    Args:
        outputs: what the block writes.
        inputs: what it reads, all of it there at the start.
    """
    try:
        yield
        _check_still_there(inputs)
        return
    except GradsError as error:
        sentence: str | None = _removed(inputs) or str(error)
    except KeyboardInterrupt:
        say_error("interrupted: the same command carries on")
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        sentence = _removed(inputs) or place_sentence(error, _written_to(outputs))
        if sentence is None:
            raise
    say_error(sentence)
    raise SystemExit(2)


def _written_to(outputs: list[Path]) -> list[Path]:
    """Return the folders that a job writes to: those of its outputs, and the one for temporary files."""
    return list(dict.fromkeys([*(output.parent for output in outputs), temporary_folder()]))


def _removed(inputs: list[Path]) -> str | None:
    """Return a sentence about inputs that somebody has removed; nothing where all are there."""
    gone = next((path for path in inputs if not path.exists()), None)
    if gone is None:
        return None
    return f"{gone} was removed while this job worked with it: start the same command again"


def _check_still_there(inputs: list[Path]) -> None:
    if sentence := _removed(inputs):
        raise GradsError(sentence)
