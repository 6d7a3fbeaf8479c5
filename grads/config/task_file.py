"""Task files of lm-eval over one's own items: what one may hold, and what is wrong with it, known before any work.

lm-eval reads such a file only when a job has loaded its model, takes a misspelt field for the text of the prompt, and
runs the Python that a file names. So the files are read here first, by rules that are stricter than its own.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grads.config.jinja import Templates
from grads.config.mistakes import sentences
from grads.config.section import Text
from grads.config.yaml_file import UniqueKeys, read_yaml
from grads.runtime.errors import GradsError, nearest, quoted

DATA_TOKEN = re.compile(r"""(["']?)\bDATA\b\1""")
FUNCTION = re.compile(r"!function\s+([\w.]+)")
FIELDS = ("question", "choices", "gold", "passage")
"""What an item has; a passage where its source has one."""
OutputType = Literal["multiple_choice", "loglikelihood", "generate_until"]
# What lm-eval scores by, for each kind of output; a file without a list has the first of them, or the first two.
METRICS: dict[str, tuple[str, ...]] = {
    "multiple_choice": (
        *("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "brier_score", "exact_match", "f1", "likelihood", "mcc"),
    ),
    "loglikelihood": ("perplexity", "acc"),
    "generate_until": ("exact_match", "bleu", "bypass", "chrf", "chrf++", "ter"),
}
DEFAULT_METRICS = {"multiple_choice": 2, "loglikelihood": 2, "generate_until": 1}
MEANS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
"""Metrics that are a mean over items unless a file says otherwise, which tables can show."""
AGGREGATIONS = (
    *("bits_per_byte", "bleu", "brier_score", "bypass", "chrf", "chrf++", "f1", "matthews_corrcoef", "mean", "median"),
    *("nanmean", "perplexity", "ter", "weighted_perplexity"),
)
FILTERS = (
    *("custom", "format_span", "lowercase", "majority_vote", "map", "multi_choice_regex", "regex", "regex_pos"),
    *("remove_whitespace", "take_first", "take_first_k", "uppercase"),
)
NO_FILTER = "none"
# What lm-eval knows and a task over one's own items cannot have.
REFUSED = {
    "include": "copy what it names into the file",
    "group": "a file holds one task; give each task of the group its own",
    "task_list": "a file holds one task; give each its own",
    "aggregate_metric_list": "it belongs to groups; a file holds one task",
    "class": "a task in Python is not supported; write it as YAML",
    "custom_dataset": "the items are those of DATA",
    "use_prompt": "write the prompt into doc_to_text",
    "doc_to_image": "models here read text only",
    "doc_to_audio": "models here read text only",
}


@dataclass(frozen=True)
class Function:
    """Python that a task file names, as `module.function`."""

    name: str

    @property
    def module(self) -> str:
        """What is before the last dot."""
        return self.name.rpartition(".")[0]


class _Loader(UniqueKeys):
    """Reads `!function` as what it names, and runs nothing."""


def _function(loader: yaml.SafeLoader, node: yaml.Node) -> Function:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.YAMLError(
            f"line {node.start_mark.line + 1}: !function is followed by no name: write module.function"
        )
    return Function(str(loader.construct_scalar(node)))


_Loader.add_constructor("!function", _function)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class TaskMetric(_Part):
    """One of the numbers that lm-eval computes; further keys are the metric's own parameters."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, arbitrary_types_allowed=True)
    metric: Text | Function
    aggregation: str | Function | None = None
    higher_is_better: bool | None = None
    hf_evaluate: bool = False


class TaskFilter(_Part):
    """A way to take the answer out of what a model wrote."""

    name: Text
    filter: list[dict[str, Any]]


class TaskFile(_Part):
    """The keys of a task file: lm-eval's own, without those that are refused."""

    task: Text
    task_alias: str | None = None
    tag: str | list[str] | None = None
    dataset_path: Literal["json"]
    dataset_name: str | None = None
    dataset_kwargs: dict[str, Any]
    training_split: str | None = None
    validation_split: str | None = None
    test_split: str | None = None
    fewshot_split: str | None = None
    process_docs: Function | None = None
    doc_to_text: str | int | Function
    doc_to_target: str | int | list[Any] | Function | None = None
    doc_to_choice: str | list[Any] | dict[Any, Any] | Function | None = None
    unsafe_code: bool = False
    process_results: Function | None = None
    description: str = ""
    target_delimiter: str = " "
    fewshot_delimiter: str = "\n\n"
    fewshot_config: dict[str, Any] | None = None
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    metric_list: Annotated[list[TaskMetric], Field(min_length=1)] | None = None
    output_type: OutputType = "generate_until"
    generation_kwargs: dict[str, Any] | None = None
    repeats: Annotated[int, Field(ge=1)] = 1
    filter_list: Annotated[list[TaskFilter], Field(min_length=1)] | None = None
    should_decontaminate: bool = False
    doc_to_decontamination_query: str | None = None
    gen_prefix: str | None = None
    metadata: dict[str, Any] | None = None


def read_task_keys(path: Path) -> dict[str, Any]:
    """Return what stands in a task file, unchecked; what `!function` names is a `Function`.

    Raises:
        GradsError: it cannot be read, or is no mapping.
    """
    content = read_yaml(path, "a task file of lm-eval", _Loader)
    if not isinstance(content, dict):
        raise GradsError(f"{path}: a task file of lm-eval is a mapping with keys such as 'task' and 'doc_to_text'")
    return content


def read_task_file(path: Path, allow_code: bool) -> TaskFile:
    """Read a task file.

    Args:
        path: the file, with the word DATA where the items are read.
        allow_code: whether the Python that it names may be run.

    Raises:
        GradsError: all that is wrong with it, whatever the items are.
    """
    content = read_task_keys(path)
    problems = [f"'{key}' is not supported: {REFUSED[key]}" for key in content if key in REFUSED]
    problems += _functions(path, list(_named(content)), allow_code)
    try:
        task = TaskFile.model_validate({key: value for key, value in content.items() if key not in REFUSED})
    except ValidationError as error:
        found = sentences(error, TaskFile, content, place=None)
        raise GradsError(*problems, *found).after(path) from None
    number = len(DATA_TOKEN.findall(path.read_text("utf-8")))
    if number != 1:
        problems.append(f"has the word DATA {number} times: put it once, where lm-eval reads the items from")
    if task.unsafe_code and not allow_code:
        problems.append("'unsafe_code' runs what the model writes: set general.allow_code only where that does no harm")
    problems += [*_data(task), *_metrics(task), *_filters(task), *_syntax(task)]
    if problems:
        raise GradsError(*problems).after(path)
    return task


def check_metric(name: str, metric: str, path: Path, task: TaskFile) -> None:
    """Refuse a metric of the config that the task file has not, or that is no mean over items.

    Args:
        name: the task's key in the config.
        metric: as the config names it, with its filter where there is one.
        path: of the task file.
        task: what it holds.

    Raises:
        GradsError: it says so.
    """
    wanted, _, chosen = metric.partition(",")
    listed = {str(getattr(one.metric, "name", one.metric)): one for one in task.metric_list or []}
    known = list(listed) or list(METRICS[task.output_type][: DEFAULT_METRICS[task.output_type]])
    filters = [one.name for one in task.filter_list or []] or [NO_FILTER]
    shown = ", ".join(one if filters == [NO_FILTER] else f"{one},{each}" for one in known for each in filters)
    where = f"general.tasks.{name}.metric is '{metric}'"
    if wanted not in known or (chosen or NO_FILTER) not in filters:
        raise GradsError(f"{where}: {path} has {shown}; choose one")
    aggregation = listed[wanted].aggregation if wanted in listed else None
    is_mean = aggregation == "mean" or isinstance(aggregation, Function)
    if not (is_mean or (aggregation is None and wanted in MEANS) or task.process_results):
        raise GradsError(f"{where}, which is no mean over items: choose another metric")


def check_items(path: Path, content: Mapping[str, Any], items: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Write the prompt, the choices and the target of items, as lm-eval will, and refuse what it could not use.

    Nothing is written where Python makes any of them.

    Args:
        path: of the task file.
        content: its keys; those of `TaskFile`.
        items: where each stands, and its fields.

    Raises:
        GradsError: a field or template names nothing of an item, fails, or gives what cannot be asked; the first item
            for which each does.
    """
    parts = {key: content.get(key) for key in ("doc_to_text", "doc_to_choice", "doc_to_target", "gen_prefix")}
    if content.get("process_docs") or any(isinstance(part, Function) for part in parts.values()):
        return
    fields = dict.fromkeys(field for _place, item in items for field in item) or dict.fromkeys(FIELDS)
    templates = Templates(list(fields))
    problems: dict[str, str] = {}
    for key in ("doc_to_text", "doc_to_target"):
        value = parts[key]
        constant = key == "doc_to_target" and parts["doc_to_choice"] is not None
        if isinstance(value, str) and not templates.names_a_field(value) and not (constant and value.isdigit()):
            valid = [*fields]
            problems[key] = f"'{key}' is {quoted(value)}, which names no field of an item: {nearest(value, valid)}"
    for place, item in items if not problems else ():
        for key, problem in _item_problems(templates, content, {field: item.get(field) for field in fields}):
            problems.setdefault(key, f"{problem} ({place})")
    if problems:
        raise GradsError(*problems.values()).after(path)


def module_files(path: Path) -> dict[str, Path]:
    """Return the modules next to a task file that it takes functions from, by the names that it calls them."""
    names = {name.rpartition(".")[0] for name in FUNCTION.findall(path.read_text("utf-8", errors="replace"))}
    files = {name: _module_file(path, name) for name in sorted(names)}
    return {name: file for name, file in files.items() if file.is_file()}


def _module_file(path: Path, module: str) -> Path:
    return path.parent / (module.replace(".", "/") + ".py")


def _named(value: Any) -> Iterator[Function]:
    if isinstance(value, Function):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _named(inner)


def _functions(path: Path, named: Sequence[Function], allow_code: bool) -> Iterator[str]:
    for function in named:
        tag = f"'!function {function.name}'"
        if not allow_code:
            yield (
                f"{tag} runs Python of yours: set 'general.allow_code: true' if you trust it, or write it as a template"
            )
            continue
        file = _module_file(path, function.module)
        if not function.module:
            yield f"{tag}: write module.function"
        elif file.is_file():
            yield from _defined(tag, file, function.name.rpartition(".")[2])
        elif importlib.util.find_spec(function.module.partition(".")[0]) is None:
            yield f"{tag}: there is no module {file}: write it, or correct the name"


def _defined(tag: str, file: Path, name: str) -> Iterator[str]:
    """Yield what is wrong with a function of a file, which is read and not run."""
    try:
        body = ast.parse(file.read_text("utf-8")).body
    except (SyntaxError, ValueError) as error:
        yield f"{tag}: {file} is no Python ({error}): fix it"
        return
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    if name not in names and "*" not in names:
        yield f"{tag}: {file} has no '{name}': {nearest(name, names)}"


def _data(task: TaskFile) -> Iterator[str]:
    """Yield what is wrong with where the items are read."""
    files = task.dataset_kwargs.get("data_files")
    if isinstance(files, str | list):
        files = {"train": files}
    if not isinstance(files, dict) or not files:
        yield "'dataset_kwargs.data_files' names no file: write, say, 'data_files: {test: DATA}'"
        return
    for split, paths in files.items():
        for file in paths if isinstance(paths, list) else [paths]:
            if not isinstance(file, str) or (file != "DATA" and not Path(file).is_file()):
                yield f"'dataset_kwargs.data_files.{split}': {quoted(file)} is not there: correct the path"
    if task.test_split is None and task.validation_split is None:
        yield f"'test_split' is missing: name one of {', '.join(map(str, files))}"
    for key in ("test_split", "validation_split", "training_split", "fewshot_split"):
        split = getattr(task, key)
        if split is not None and split not in files:
            yield f"'{key}' is '{split}', which 'dataset_kwargs.data_files' has not: {nearest(split, map(str, files))}"


def _metrics(task: TaskFile) -> Iterator[str]:
    known = METRICS[task.output_type]
    for number, one in enumerate(task.metric_list or []):
        key = f"'metric_list.{number}"
        if one.hf_evaluate:
            yield f"{key}.hf_evaluate': such a metric is code from the hub, which is never run: choose another"
        elif isinstance(one.metric, str) and one.metric not in known and task.process_results is None:
            yield f"{key}.metric': lm-eval has no '{one.metric}' for {task.output_type}: {nearest(one.metric, known)}"
        if isinstance(one.aggregation, str) and one.aggregation not in AGGREGATIONS:
            yield f"{key}.aggregation' is '{one.aggregation}': {nearest(one.aggregation, AGGREGATIONS)}"


def _filters(task: TaskFile) -> Iterator[str]:
    for number, pipeline in enumerate(task.filter_list or []):
        for place, step in enumerate(pipeline.filter):
            name = step.get("function")
            if not isinstance(name, str) or name not in FILTERS:
                hint = nearest(str(name), FILTERS)
                yield f"'filter_list.{number}.filter.{place}.function' is {quoted(name)}: {hint}"
            for key in [key for key in step if key.endswith("pattern")]:
                try:
                    re.compile(str(step[key]))
                except re.error as error:
                    yield f"'filter_list.{number}.filter.{place}.{key}' is no regular expression ({error}): correct it"


def _syntax(task: TaskFile) -> Iterator[str]:
    """Yield what cannot be read as a template."""
    templates = Templates(FIELDS)
    keys = ("doc_to_text", "doc_to_target", "doc_to_choice", "doc_to_decontamination_query", "gen_prefix")
    for key in keys:
        value = getattr(task, key)
        if isinstance(value, str) and (problem := templates.problem(value)):
            yield f"'{key}' is no template ({problem}): correct it"
    for key, value in (task.fewshot_config or {}).items():
        if key.startswith("doc_to_") and isinstance(value, str) and (problem := templates.problem(value)):
            yield f"'fewshot_config.{key}' is no template ({problem}): correct it"
    if task.output_type == "multiple_choice" and task.doc_to_choice is None:
        yield "'doc_to_choice' is missing, which multiple_choice needs: name the field, such as 'choices'"
    if task.doc_to_target is None and task.process_results is None:
        yield "'doc_to_target' is missing: name the field of the right answer, such as 'gold'"


def _item_problems(templates: Templates, content: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[Any]:
    """Yield (key, what is wrong) for what lm-eval would make of an item."""
    kind = content.get("output_type", "generate_until")
    written: dict[str, Any] = {}
    for key, made in (("doc_to_text", templates.text), ("doc_to_choice", templates.choices),
                      ("doc_to_target", templates.target), ("gen_prefix", templates.text)):  # fmt: skip
        if content.get(key) is None:
            continue
        try:
            written[key] = made(content[key], item, content.get("doc_to_choice") is not None)
        except GradsError as error:
            yield key, f"'{key}' {error}"
    prompt, choices, target = (written.get(key) for key in ("doc_to_text", "doc_to_choice", "doc_to_target"))
    if "doc_to_choice" in written and not _are_choices(choices):
        yield "doc_to_choice", f"'doc_to_choice' gives {quoted(choices)}, not a list of texts: correct it"
        return
    if "doc_to_text" in written and not isinstance(prompt, str) and not (choices and isinstance(prompt, int)):
        yield "doc_to_text", f"'doc_to_text' gives {quoted(prompt)}, not a text: correct it"
    if kind == "multiple_choice" and choices and "doc_to_target" in written and "doc_to_text" in written:
        # If a task chooses between contexts, the prompt is the index of the right context.
        key, right = ("doc_to_text", prompt) if isinstance(prompt, int) else ("doc_to_target", target)
        index = choices.index(right) if isinstance(right, str) and right in choices else right
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(choices):
            yield key, f"'{key}' gives {quoted(right)}, which is none of the {len(choices)} choices: count from 0"


def _are_choices(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) and one for one in value)
