"""Answers to training records in a model's own words: a folder that one job writes, and training strategies read.

answers.jsonl   a row for each record that was answered: id, answer, capped
meta.json       what it took, and the SHA-256 of the file above
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, read_jsonl, read_object, reading, sha256_file, write_json, write_jsonl

ANSWERS = "answers.jsonl"
META = "meta.json"


@dataclass(frozen=True)
class OwnAnswer:
    """An answer.

    Attributes:
        id: of the record.
        answer: the text.
        capped: whether it was cut at the most tokens that an answer may have.
    """

    id: str
    answer: str
    capped: bool


def write_own_answers(folder: Path, answers: Iterable[OwnAnswer], meta: Mapping[str, Any]) -> None:
    """Write answers, as a whole or not at all; `meta` says what they took."""
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_jsonl(temporary / ANSWERS, [asdict(one) for one in answers])
        write_json(temporary / META, {**meta, "sha256": {ANSWERS: sha256_file(temporary / ANSWERS)}})


def read_own_answers(folder: Path) -> dict[str, OwnAnswer]:
    """Return the answers by the ids of their records.

    Raises:
        GradsError: they are not there, or damaged.
    """
    remedy = f"delete {folder} and run again"
    meta = read_object(folder / META, remedy)
    path = folder / ANSWERS
    with reading(path, remedy):
        if sha256_file(path) != meta["sha256"][ANSWERS]:
            raise GradsError(f"{path} is not what was written: {remedy}")
        return {row["id"]: OwnAnswer(**row) for row in read_jsonl(path)}
