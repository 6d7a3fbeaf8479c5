"""The life of a job's process: what it may use, what is written of it, and the sentences that it ends with."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from grads.runtime.errors import GradsError
from grads.runtime.libraries import limit_threads, settle_libraries
from grads.runtime.places import place_sentence, temporary_folder
from grads.runtime.preload import hand_over
from grads.runtime.progress import say_error
from grads.runtime.supervisor import die_with_parent, supervise

__all__ = ["die_with_parent", "job_process"]


@contextlib.contextmanager
def job_process(
    rule: str, log: Path, inputs: Sequence[Path], outputs: Sequence[Path], threads: int, hub: bool = False
) -> Iterator[None]:
    """Run the body as a job of the workflow.

    It runs in a process of its own, which a small parent watches (see `grads.runtime.supervisor`): what it prints is
    copied to the job's log, and whatever ends it is said there. Numeric libraries are limited to its threads (so call
    it before importing them) and Hugging Face libraries kept off the network, unless it is there to fetch from the
    `hub`, and their bars off the log. A `GradsError`, a full disk and files that are removed during the run become a
    sentence and exit status 2.
    """
    die_with_parent()
    # What fetches from the hub needs libraries that were loaded with it.
    if not hub:
        hand_over()
    with _sentences(outputs, []):
        supervise(log, outputs, rule)
    limit_threads(threads)
    settle_libraries(hub)
    with _sentences(outputs, [path for path in inputs if path.exists()]):
        yield


@contextlib.contextmanager
def _sentences(outputs: Sequence[Path], inputs: Sequence[Path]) -> Iterator[None]:
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


def _written_to(outputs: Sequence[Path]) -> list[Path]:
    """Return the folders that a job writes to: those of its outputs, and the one for temporary files."""
    return list(dict.fromkeys([*(output.parent for output in outputs), temporary_folder()]))


def _removed(inputs: Sequence[Path]) -> str | None:
    """Return a sentence about inputs that somebody has removed; nothing where all are there."""
    gone = next((path for path in inputs if not path.exists()), None)
    if gone is None:
        return None
    return f"{gone} was removed while this job worked with it: start the same command again"


def _check_still_there(inputs: Sequence[Path]) -> None:
    if sentence := _removed(inputs):
        raise GradsError(sentence)
