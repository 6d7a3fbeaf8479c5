"""The first rows of what a study reads, and its task files over them: wrong ones are found before any work."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from grads.config.domains import Domain
from grads.config.evaluation import Judgements
from grads.config.general import HarnessData, Instructions, Task
from grads.config.kinds import RECORDS, Reading
from grads.config.models import Skill
from grads.config.sources import Source
from grads.config.study import Study
from grads.config.task_file import check_items, check_metric, read_task_file
from grads.data.benchmark_items import check_passages, first_items
from grads.data.instructions import instruction_domain
from grads.data.judgements import parse_judgement
from grads.data.records.layouts import to_record
from grads.data.records.rows import read_rows
from grads.runtime.errors import GradsError, check_all
from grads.runtime.shipped import located
from grads.study.data_files import format_of
from grads.study.paths import archive_path

ROWS = 8
"""Rows of each file that are read."""


def check_data(study: Study) -> None:
    """Read the first rows of a study's own files, and of archives that are there, and fill its task files in with them.

    Files that are not there are passed over: `grads.study.naming.check_files` names them.

    Raises:
        GradsError: all that is wrong, at most one mistake for each file of rows.
    """
    archives = {name: archive_path(archive.file) for name, archive in study.every_archive.items()}
    archives = {name: path for name, path in archives.items() if path.is_file()}
    checks = [partial(_check_records, domain) for domain in _own_records(study)]
    text = study.general.text.source
    if _is_there(text, archives):
        checks.append(partial(check_passages, text, archives, ROWS))
    judged = study.evaluation.judged
    if judged and _is_data(Path(judged.path)):
        checks.append(partial(_check_judgements, judged))
    tasks = study.general.tasks.items()
    checks += [
        partial(check_task, name, task, archives, study.general.allow_code)
        for name, task in tasks
        if task.file and task.file.is_file()
    ]
    check_all(checks)


def check_task(name: str, task: Task, archives: dict[str, Path], allow_code: bool) -> None:
    """Check a benchmark over one's own items: its file, its metric, and what the first items become by it.

    Raises:
        GradsError: all that is wrong.
    """
    path = task.file or Path()
    try:
        found = read_task_file(path, allow_code)
    except GradsError as error:
        raise error.after(f"general.tasks.{name}.yaml") from None
    check_metric(name, task.metric, path, found)
    items: list[tuple[str, dict[str, Any]]] = []
    # Of a benchmark that lm-eval knows by name there is no file.
    if not isinstance(task.data, HarnessData) and _is_there(task.data, archives):
        items = first_items(task.data, archives, ROWS)
    try:
        check_items(path, dict(found), items)
    except GradsError as error:
        raise error.after(f"general.tasks.{name}.yaml") from None


def _own_records(study: Study) -> Iterator[Domain]:
    """Yield the domains, skills and general instructions whose records are the user's own and there."""
    instructions = study.general.instructions
    further: list[Instructions | Skill] = [*study.skills.values(), *([instructions] if instructions else [])]
    for domain in [*study.domains.values(), *map(instruction_domain, further)]:
        if domain.source.own_paths and _is_there(domain.source, {}):
            yield domain


def _check_records(domain: Domain) -> None:
    with TemporaryDirectory(prefix="grads-data-") as scratch:
        rows = RECORDS.find(domain.source.kind).rows(domain.source, Reading({}, domain.title, Path(scratch)))
        fields = dict[str, str](domain.fields.items())
        for place, row in islice(rows, ROWS):
            to_record(row, place, fields, domain.loss_turns, domain.metadata, domain.leave)


def _check_judgements(judged: Judgements) -> None:
    for place, row in islice(read_rows(judged.path), ROWS):
        parse_judgement(place, row, judged)


def _is_there(source: Source, archives: dict[str, Path]) -> bool:
    """Whether all that a source reads is there, and its files of data are such by their suffix."""
    named = source.data_names
    own = {key: located(path) for key, path in source.own_paths.items()}
    there = [_is_data(path) if key in named else path.exists() for key, path in own.items()]
    return all(there) and (source.archive_key is None or source.archive_key in archives)


def _is_data(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and format_of(path.name) is not None)
