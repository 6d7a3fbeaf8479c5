"""What a probe has finished: kept batch by batch, so that a kill at any moment loses none of it and doubles none."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from grads.data.records.formatting import Example
from grads.runtime.journal import Journal
from grads.signals.blocks import Rows, example_frame, make_rows
from grads.signals.finite import only_finite
from grads.signals.measured import Measured
from grads.signals.store import write_parts


class Finished:
    """The batches of a probe that are finished, in a file, and the store that they become.

    Args:
        path: the file; what an earlier run of the same probe finished is in it.
        examples: all records of the store, in its order.
        skip: whether records whose signals are no finite numbers are left out; otherwise they are an error.
    """

    def __init__(self, path: Path, examples: Sequence[Example], skip: bool = False) -> None:
        # The folder is called by the hash of all that shapes the probe.
        self.journal = Journal(path, path.parent.name)
        self.examples = examples
        self.skip = skip
        self.left_out: list[str] = []
        self.state: dict[str, Any] = {}
        self.seconds = 0.0
        done: set[str] = set()
        for rows in map(Rows.from_bytes, self.journal):
            done.update(rows.signals["id"])
            self._note(rows)
        self.left = [example for example in examples if example.id not in done and example.id not in self.left_out]
        self.seconds_before = self.seconds
        self.begin()

    def begin(self) -> None:
        """Count the seconds of measuring from now on."""
        self._since = time.monotonic()

    @property
    def deviations(self) -> list[dict[str, Any]]:
        """What lowered the token budget on the way."""
        return self.state.get("deviations", [])

    def add(self, examples: Sequence[Example], measured: Measured, state: dict[str, Any]) -> None:
        """Keep what was measured of a batch, and how batches are to go on from there.

        Raises:
            GradsError: a record has a signal that is no finite number, and such records are not to be left out.
        """
        rows, out = only_finite(make_rows(example_frame(examples), measured), self.skip)
        now = time.monotonic()
        rows = replace(rows, notes={"left_out": out, "state": state, "seconds": now - self._since})
        self._since = now
        self.journal.append(rows.to_bytes())
        self._note(rows)

    def _note(self, rows: Rows) -> None:
        self.left_out += rows.notes["left_out"]
        self.state = rows.notes["state"]
        self.seconds += rows.notes["seconds"]

    def write(self, out: Path, meta: dict[str, Any]) -> None:
        """Write the store."""
        gone = set(self.left_out)
        ids = [example.id for example in self.examples if example.id not in gone]
        ordered = [example.id for example in self.examples if example.id in gone]
        write_parts(out, map(Rows.from_bytes, self.journal), ids, meta | {"left_out": ordered})
