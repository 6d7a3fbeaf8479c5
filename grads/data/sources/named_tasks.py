"""Benchmarks that lm-eval knows by name: their data fetched once from the hub, and read back without it.

A name stands for one task (`gsm8k`) or a group of them (`mmlu`, of 57). What is fetched is their data as Parquet; their
prompts, filters and scores stay lm-eval's own, of the installed version.
"""

import functools
import importlib.metadata
import json
import logging
import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grads.config.general import HarnessData
from grads.config.sources import HubSource
from grads.data.benchmark_items import sample_rows
from grads.data.sources.hub import fetch_splits
from grads.runtime.errors import GradsError, nearest
from grads.runtime.files import atomic_path, read_json, write_json, write_text
from grads.runtime.progress import say

TASKS = "tasks.json"
# What a task of lm-eval says of its data.
DATA_KEYS = ("dataset_path", "dataset_name", "dataset_kwargs")


@contextmanager
def temporary_cache() -> Iterator[None]:
    """Keep the data library's cache in a temporary folder inside the block, instead of in the user's home."""
    import datasets

    datasets.disable_progress_bars()
    stored = datasets.config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory(prefix="grads-tasks-") as cache:
        datasets.config.HF_DATASETS_CACHE = Path(cache)
        try:
            yield
        finally:
            datasets.config.HF_DATASETS_CACHE = stored


@contextmanager
def loading_seeds() -> Iterator[None]:
    """Draw inside the block as lm-eval's `simple_evaluate` does: some tasks, such as gpqa, shuffle choices as read."""
    import numpy as np
    from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

    stored = random.getstate()
    stored_numpy = np.random.get_state()
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    try:
        yield
    finally:
        random.setstate(stored)
        np.random.set_state(stored_numpy)


def fetch_task(source: HarnessData, allow_code: bool, out: Path | str) -> None:
    """Write the data of a benchmark to the folder `out`, with `tasks.json`: its tasks, lm-eval's version, the commits.

    Raises:
        GradsError: lm-eval has no such task, it runs generated code and `allow_code` is false, it is not declared in
            YAML alone, or its data cannot be fetched.
    """
    index = _index()
    leaves = list(_leaves(index, source.name))
    folders: dict[str, str] = {}
    commits: dict[str, str] = {}
    tasks = []
    with atomic_path(out) as temporary:
        temporary.mkdir()
        for name, overrides in leaves:
            config = {**(index[name].cfg or {}), **overrides}
            check_code(source.name, bool(config.get("unsafe_code")), allow_code)
            key = json.dumps([config.get(key) for key in DATA_KEYS], default=str)
            if key not in folders:
                folders[key] = str(len(folders))
                commits[str(config.get("dataset_path"))] = _fetch(source, name, config, temporary / folders[key])
            yaml = Path(str(index[name].yaml_path)).relative_to(_shipped())
            tasks.append({"task": name, "yaml": str(yaml), "overrides": overrides, "data": folders[key]})
        unsafe = any((index[name].cfg or {}).get("unsafe_code") for name, _ in leaves)
        content = {"name": source.name, "lm_eval": _version(), "commits": commits, "unsafe": bool(unsafe)}
        write_json(temporary / TASKS, content | {"tasks": tasks})
        with temporary_cache():
            # What a task cannot do without is missed, or fetched, now and not in the jobs that have no network.
            load_harness(temporary, None, allow_code)
    say(f"{source.name}: {len(tasks)} tasks, data of {', '.join(sorted(commits))}")


@functools.cache
def _index() -> Mapping[str, Any]:
    """Return all that lm-eval knows by name; reading its 15,000 task files takes some seconds."""
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return TaskManager().task_index


def _fetch(source: HarnessData, name: str, config: Mapping[str, Any], out: Path) -> str:
    if not isinstance(config.get("dataset_path"), str) or callable(config.get("custom_dataset")):
        raise GradsError(f"lm-eval's task '{name}' makes its data by code of its own: give its items as a local task")
    given = {key: value for key, value in (config.get("dataset_kwargs") or {}).items() if key != "trust_remote_code"}
    if given:
        raise GradsError(
            f"lm-eval's task '{name}' loads its data with {', '.join(sorted(given))}, which is not supported: give its "
            "items as a local task"
        )
    repository = HubSource(kind="hub", id=config["dataset_path"], revision=source.revision)
    return fetch_splits(repository, config.get("dataset_name"), out)


def _leaves(index: Mapping[str, Any], name: str, overrides: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Yield the tasks that a name stands for, each with what its group changes in it."""
    if name not in index:
        raise GradsError(f"lm-eval {_version()} has no task '{name}': {nearest(name, index)}")
    entry = index[name]
    overrides = dict(overrides or {})
    kind = entry.kind.name
    if kind == "TAG":
        for child in sorted(entry.tags):
            yield from _leaves(index, child, overrides)
    elif kind == "GROUP":
        for child in entry.cfg["task"]:
            changed = {} if isinstance(child, str) else {key: value for key, value in child.items() if key != "task"}
            called = child if isinstance(child, str) else child.get("task", child.get("group"))
            yield from _leaves(index, str(called), overrides | changed)
    elif kind == "TASK":
        yield name, overrides
    else:
        raise GradsError(f"lm-eval's task '{name}' is Python code, not YAML: give its items as a local task")


def check_code(name: str, unsafe: bool, allow_code: bool) -> None:
    """Refuse a benchmark that runs what the model writes, unless the config allows it.

    Raises:
        GradsError: it does, and is not allowed.
    """
    if unsafe and not allow_code:
        raise GradsError(
            f"benchmark '{name}' runs the Python code that the model writes, with your rights and in no sandbox: set "
            "'general.allow_code: true' only where that can do no harm (a container without network), or leave it out"
        )


def load_harness(folder: Path | str, few_shot: int | None, allow_code: bool) -> dict[str, Any]:
    """Return what lm-eval's `evaluate` takes, for a benchmark that `fetch_task` wrote; its tasks by name.

    Args:
        folder: what `fetch_task` wrote.
        few_shot: examples in front of each question; None for the task's own number.
        allow_code: whether generated code may be run.

    Raises:
        GradsError: it was fetched with another lm-eval, runs generated code, or a package of it is missing.
    """
    from lm_eval.tasks import TaskManager

    fetched = read_json(Path(folder) / TASKS)
    if fetched["lm_eval"] != _version():
        raise GradsError(
            f"{folder} was fetched with lm-eval {fetched['lm_eval']}, installed is {_version()}: delete it, run again"
        )
    check_code(fetched["name"], fetched["unsafe"], allow_code)
    if fetched["unsafe"]:
        # Asked for by the scorer, as soon as such a task is read.
        os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    with tempfile.TemporaryDirectory(prefix="grads-harness-") as scratch:
        paths = [_task_file(Path(folder), task, few_shot, Path(scratch)) for task in fetched["tasks"]]
        try:
            with loading_seeds():
                loaded: dict[str, Any] = dict(TaskManager(include_defaults=False).load(paths))
        except ImportError as error:
            raise GradsError(
                f"benchmark '{fetched['name']}' needs a package that is not there ({error}): "
                f"`pip install 'lm-eval[{fetched['name']}]'`"
            ) from error
    return loaded


def _task_file(folder: Path, task: Mapping[str, Any], few_shot: int | None, scratch: Path) -> str:
    """Write a task file that is lm-eval's own but for where its data comes from; return its path."""
    files = {path.stem: str(path.resolve()) for path in sorted((folder / task["data"]).glob("*.parquet"))}
    content = dict(task["overrides"]) | {"task": task["task"], "include": str(_shipped() / task["yaml"])}
    content |= {"dataset_path": "parquet", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    if few_shot is not None:
        content["num_fewshot"] = few_shot
    path = scratch / f"{task['task']}.yaml"
    write_text(path, json.dumps(content))
    return str(path)


def sample_harness(loaded: Mapping[str, Any], number: int | None, seed: int, label: str) -> tuple[list[dict], int]:
    """Return a seeded sample of a benchmark's items, over all of its tasks, and how many there are.

    Each is `{task, doc_id, question, answer}`, in the order of tasks and items; the texts are for the report on
    overlap. `number` None takes all.

    Raises:
        GradsError: there are fewer items; names `label`.
    """
    rows = [
        {"task": name, "doc_id": number_, "question": _question(task, doc), "answer": _answer(task, doc)}
        for name, task in loaded["tasks"].items()
        for number_, doc in enumerate(task.eval_docs)
    ]
    order = {name: place for place, name in enumerate(loaded["tasks"])}
    chosen = rows if number is None else sample_rows(rows, number, seed, label)
    return sorted(chosen, key=lambda row: (order[row["task"]], row["doc_id"])), len(rows)


def _question(task: Any, doc: Any) -> str:
    text = task.doc_to_text(doc)
    # If a task chooses between contexts, the text is the index of the right context.
    return text if isinstance(text, str) else str(task.doc_to_choice(doc)[text])


def _answer(task: Any, doc: Any) -> str:
    target = task.doc_to_target(doc)
    if isinstance(target, int) and task.OUTPUT_TYPE == "multiple_choice":
        return str(task.doc_to_choice(doc)[target])
    return "\n".join(map(str, target)) if isinstance(target, list) else str(target)


def _version() -> str:
    return importlib.metadata.version("lm-eval")


def _shipped() -> Path:
    """Return the folder of lm-eval's own tasks."""
    import lm_eval.tasks

    return Path(str(lm_eval.tasks.__file__)).parent
