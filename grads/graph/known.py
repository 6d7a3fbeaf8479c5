"""What is known of a study's models and data before its jobs run: their sizes, their lengths, what is asked of models.

What is prepared counts as it is; before that, the config's limits do, and for models of the hub that are not fetched
their published shapes.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from grads.config.evaluation import ROWS
from grads.config.general import Task
from grads.config.ratios import AUTO, keep_count
from grads.config.study import Study
from grads.config.training import Training
from grads.data.passes import NO_LENGTHS, Lengths
from grads.evaluation.requests import General, Planted, Requests, parse_general
from grads.models.footprint import NOT_READ, BaseRead
from grads.models.known_shapes import known_size
from grads.models.shape import PREFIXES
from grads.models.size import ModelSize, model_size, read_size
from grads.runtime.files import digest
from grads.runtime.manifest import manifest_of
from grads.signals.measures.registry import mean_signals
from grads.signals.names import FEATURES, SENTENCES
from grads.study.grid import Cell
from grads.study.paths import ANCHOR, TOKENS, TRAIN, TRAJECTORY, VALIDATION, WARMUP, Paths
from grads.training.needs import arm_training, strategy_needs

Stamp = tuple[int, int] | None
TEST = "test"
# Of a signal store (`grads.signals.store`): what was measured.
META = "meta.json"
TOKEN_COUNTS = "token_counts"
"""Key of the meta of a store `tokens`: of each split, how many records have how many tokens, by part."""
REQUESTS = "requests.json"
"""File of a study with what its general benchmarks ask of each model, counted by `grads plan`."""
UNKNOWN_RECORDS = 10_000
# Of the records that a ratio `auto` keeps: what lies within one standard deviation, were it a normal distribution.
AUTO_SHARE = 0.68
# Vectors of a sentence encoder.
SENTENCE_WIDTH = 1024
# Tokens of a benchmark's longest item, of one in your own file, and of each example in front of it.
ITEM = 1536
OWN_ITEM = 512
SHOT = 128
# Of a benchmark's items: choices of each, how many there are, and tokens of an answer that is written freely.
CHOICES = 4
ITEMS = 1000
ANSWER = 256


@dataclass(frozen=True)
class Load:
    """Records that a job goes through.

    Attributes:
        prompts: tokens of each prompt.
        responses: tokens of each response, the end of its turn included.
        examples: tokens of each prompt and response together.
        counted: whether these are its own numbers, and not the config's limits.
    """

    prompts: Lengths
    responses: Lengths
    examples: Lengths
    counted: bool = False

    @classmethod
    def up_to(cls, records: int, limit: int) -> "Load":
        """Return records that are not counted yet: their lengths are spread evenly up to a limit, half of it prompt."""
        half = Lengths.even(records, max(1, limit // 2))
        return cls(half, half, Lengths.even(records, limit))

    def of_size(self, records: int) -> "Load":
        """Return so many records that are as long as these are."""
        return replace(
            self,
            prompts=self.prompts.scaled(records),
            responses=self.responses.scaled(records),
            examples=self.examples.scaled(records),
        )

    @property
    def records(self) -> int:
        """How many there are."""
        return self.examples.sequences

    @property
    def tokens(self) -> int:
        """Tokens of all of them together."""
        return self.examples.tokens

    @property
    def longest(self) -> int:
        """Tokens of the longest."""
        return self.examples.longest

    @property
    def mean(self) -> int:
        """Tokens of one, on average."""
        return math.ceil(self.examples.mean)


def size_of(study: Study, model: str) -> ModelSize | None:
    """Return the size of a model: as it is prepared, or as its source says, or as it was published; None where it is
    not known.
    """
    declared = study.every_model[model]
    return read_size(Paths(study.study).model(model)) or model_size(declared) or known_size(declared)


def load_of(study: Study, model: str, domain: str, split: str = TRAIN) -> Load:
    """Return a split's eligible records of a domain: as they were counted, if they were, or by the config's limits."""
    limit = study.training.max_length
    size = size_of(study, model)
    limit = min(limit, size.positions) if size and size.positions else limit
    # General instructions are taken to be as long as training records are.
    like = TRAIN if split == ANCHOR else split
    meta = (Paths(study.study).store(model, domain, TOKENS) / META).absolute()
    counted = _stored_load(meta, _stamp(meta), like, study.training.max_length)
    if counted is None:
        return Load.up_to(_records(study, domain, split), limit)
    return counted if split == like else replace(counted.of_size(_records(study, domain, split)), counted=False)


@lru_cache(maxsize=4096)
def _stored_load(meta: Path, stamp: Stamp, split: str, max_length: int) -> Load | None:
    """Return a split's records as a store of tokens counted them; None where it did not, or for another length."""
    content = _parsed(meta, stamp)
    counts = content.get(TOKEN_COUNTS)
    if content.get("max_length") != max_length or not isinstance(counts, Mapping):
        return None
    return _counted(counts, split)


def _counted(counts: Mapping[str, object], split: str) -> Load:
    of_split = counts.get(split)
    parts = of_split if isinstance(of_split, Mapping) else {}
    prompts, responses, examples = (
        Lengths.parsed(parts.get(name)) or NO_LENGTHS for name in ("prompts", "responses", "examples")
    )
    return Load(prompts, responses, examples, counted=True)


def kept_of(study: Study, cell: Cell) -> Load:
    """Return the training records that a cell keeps: those that were selected, or as many as its ratio keeps."""
    pool = load_of(study, cell.model, cell.domain)
    if cell.arm not in study.arms:
        return pool
    summary = _read(Paths(study.study).selection(cell).with_suffix(".json"))
    kept = _counted({"kept": summary.get(TOKEN_COUNTS)}, "kept")
    # Of a conversation whose earlier answers carry loss too, prompt and response overlap.
    if kept.records and pool.prompts.tokens + pool.responses.tokens == pool.tokens:
        return kept
    if kept.records:
        return pool.of_size(kept.records)
    return pool.of_size(
        round(AUTO_SHARE * pool.records) if cell.ratio == AUTO else keep_count(cell.ratio, pool.records)
    )


def general_key(study: Study, model: str) -> str:
    """Return what the requests of the general benchmarks depend on, as a digest; empty where they are not prepared."""
    paths = Paths(study.study)
    files = [paths.general("text.jsonl"), *(paths.general(f"{name}.jsonl") for name in study.general.tasks)]
    manifests = [manifest_of(path) if path.exists() else None for path in [paths.model(model), *files]]
    known = [manifest.content["outputs"] for manifest in manifests if manifest is not None]
    if len(known) < len(manifests):
        return ""
    asked = study.general.model_dump(mode="json"), study.every_model[model].format.model_dump(mode="json")
    return digest([*known, *asked, study.evaluation.token_budget], 16)


def general_of(study: Study, model: str) -> General:
    """Return what general benchmarks and text ask of a model: as counted, or by the config's numbers."""
    stored = _read(Paths(study.study).root / REQUESTS).get(model)
    if isinstance(stored, Mapping) and (key := general_key(study, model)) and stored.get("key") == key:
        return parse_general(stored)
    tasks = {name: _guessed(task) for name, task in study.general.tasks.items()}
    text = study.general.text
    return General(tasks, Lengths.of_counts({text.max_tokens: text.sample}))


def uncounted_benchmarks(study: Study) -> set[str]:
    """Return the general benchmarks with examples in front of their questions whose requests are not counted yet."""
    stored = _read(Paths(study.study).root / REQUESTS)
    counted = all(model in stored for model in study.models)
    return set() if counted else {name for name, task in study.general.tasks.items() if task.few_shot}


def _guessed(task: Task) -> Requests:
    """Return about what a benchmark asks: a question of usual length, with its examples and choices."""
    items = task.sample or ITEMS
    length = (OWN_ITEM if task.yaml else ITEM) // 4 + SHOT * (task.few_shot or 0)
    if task.metric.startswith("acc"):
        planted = Planted(Lengths.of_counts({length: items}), CHOICES * items)
        return Requests(items, Lengths.of_counts({length: CHOICES * items}), dict.fromkeys(ROWS, planted))
    return Requests(items, questions=Lengths.of_counts({length: items}), answer=ANSWER)


def longest_item(study: Study, size: ModelSize) -> int:
    """Return the tokens of the longest item of the general benchmarks, examples in front of it included: a guess."""
    lengths = [OWN_ITEM if task.yaml else ITEM + SHOT * (task.few_shot or 0) for task in study.general.tasks.values()]
    longest = max([study.general.text.max_tokens, *lengths])
    return min(longest, size.positions) if size.positions else longest


def cell_training(study: Study, cell: Cell) -> Training:
    """Return how a cell is trained: as its arm and that one's strategy depart from the study's settings.

    Runs that are no arm's have epochs of their own.
    """
    if cell.arm in study.arms:
        return arm_training(study, cell.arm)
    of_points = {TRAJECTORY: study.probe.trajectory.epochs, WARMUP: study.probe.warmup.epochs}
    epochs = of_points.get(cell.arm, 1)
    return study.training.model_copy(update={"epochs": epochs})


def base_read(study: Study, cell: Cell) -> BaseRead:
    """Return what the loss of a cell's training reads of the base model; runs that are no arm's read nothing of it."""
    if cell.arm not in study.arms:
        return NOT_READ
    needs = strategy_needs(study, cell.arm)
    return BaseRead(needs.base_logits, needs.base_weights, needs.fisher)


def is_scaled(study: Study, cell: Cell) -> bool:
    """Return whether a cell's weights are those of another arm's run, scaled: nothing is trained for it."""
    return cell.arm in study.arms and strategy_needs(study, cell.arm).run is not None


def vector_widths(study: Study, size: ModelSize, held: Iterable[str]) -> list[int]:
    """Return the numbers of each vector that a store holds of a record."""
    widths = []
    for name in held:
        if mean_signals([name]):
            widths.append(size.hidden)
        elif name in FEATURES:
            widths.append(feature_width(study, size))
        elif name == SENTENCES:
            widths.append(SENTENCE_WIDTH)
        elif name == "losses" and "response_nll" not in held:
            widths.append(study.probe.trajectory.checkpoints)
    return widths


def feature_width(study: Study, size: ModelSize) -> int:
    """Return the numbers of a record's projected gradients, of an adapter's A and B.

    `kronecker`: of each module min(rank, s) x min(inputs, s) + min(outputs, s) x min(rank, s), s being the size; s x s
    where they are pooled.
    """
    features = study.probe.features
    adapter = study.training.adapter
    if features.projection == "dense":
        return features.dimension
    side = features.size
    if features.pooled:
        return side**2
    chosen = [matrix for matrix in size.adapted(adapter.targets) if _matches(matrix.module, features.modules)]
    return sum(min(adapter.rank, side) * min(width, side) for matrix in chosen for width in matrix.shape)


def _matches(module: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(prefix + module, pattern) for prefix in PREFIXES for pattern in patterns)


def _records(study: Study, domain: str, split: str) -> int:
    """Return how many records a split has, or how many it may have."""
    if split == ANCHOR:
        return study.general.instructions.anchor if study.general.instructions else 0
    counts = _read(Paths(study.study).root / "data" / domain / "counts.json").get("splits")
    counted = _number(counts, split) if isinstance(counts, Mapping) else None
    known = [number for number in (counted, study.splits.sizes[split]) if number is not None]
    return min(known, default=UNKNOWN_RECORDS)


def test_records(study: Study, domain: str) -> int:
    """Return how many test records a domain has, or may have."""
    return _records(study, domain, TEST)


def records_are_known(study: Study, domain: str) -> bool:
    """Return whether anything says how many training records a domain has."""
    return study.splits.train is not None or (Paths(study.study).root / "data" / domain / "counts.json").is_file()


def split_records(study: Study, domain: str) -> int:
    """Return how many records a domain has in all of its splits, or may have."""
    return sum(_records(study, domain, split) for split in (TRAIN, VALIDATION, TEST))


def _read(path: Path) -> Mapping[str, object]:
    """Return a JSON object; nothing where there is none: what is wrong with a file is said by who reads it for good."""
    return _parsed(path.absolute(), _stamp(path))


def _stamp(path: Path) -> Stamp:
    """Return what changes when a file does; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4096)
def _parsed(path: Path, stamp: Stamp) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_text("utf-8")) if stamp else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(values: Mapping[str, object], name: str) -> int | None:
    found = values.get(name)
    return found if isinstance(found, int) else None
