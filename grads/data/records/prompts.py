"""The prompts of records, for what may see their questions and not their answers."""

import hashlib
from array import array
from dataclasses import dataclass, replace
from pathlib import Path

from grads.data.records.formatting import STAND_INS, Formatter
from grads.data.records.record import load_records


@dataclass(frozen=True, slots=True)
class QuestionPrompt:
    """What stands in front of a record's answer, as token ids.

    The answer is no part of it, nor reachable from it: `id` is a hash of the token ids, for a record's own is one of
    its answer, too.
    """

    id: str
    input_ids: tuple[int, ...]


def load_prompts(path: Path | str, formatter: Formatter, longest: int) -> list[QuestionPrompt]:
    """Return the different prompts of a file's records that have at most `longest` tokens, in the file's order.

    A prompt does not depend on the answer; that none can leak, another stands in its place while prompts are made.

    Raises:
        GradsError: no such file, or not one of records.
    """
    found: dict[str, QuestionPrompt] = {}
    for record in load_records(path):
        ids = formatter.prompt_ids(replace(record, output=STAND_INS[0], references=()))
        if len(ids) <= longest:
            name = hashlib.sha256(array("q", ids).tobytes()).hexdigest()[:16]
            found.setdefault(name, QuestionPrompt(name, tuple(ids)))
    return list(found.values())
