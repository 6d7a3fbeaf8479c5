"""Where everything of a study lies, relative to the working directory."""

from dataclasses import dataclass, replace
from pathlib import Path

from grads.config.sources import Source
from grads.runtime.errors import GradsError, nearest
from grads.study.grid import Cell

RESOURCES = Path("resources")
# What stores are named after: where in a study their records are measured.
TOKENS, BASE, WARM, DURING, TRAJECTORY, WARMUP, REWRITTEN = POINTS = (
    *("tokens", "base", "warm", "during", "trajectory", "warmup"),
    # No signals, but the untuned model's own answers, which take their time as signals do.
    "rewritten",
)
# Those of a training run of their own, which each seed has.
BY_SEED = (WARM, DURING, TRAJECTORY, WARMUP)
# Whose records: the domain's, or general instructions. A store's name says so where they are not those of training.
ENCODER = "encoder"
TRAIN = "train"
VALIDATION = "validation"
ANCHOR = "anchor"
OTHERS = (f"-{VALIDATION}", f"-{ANCHOR}")
STORES = (*POINTS, *(point + other for point in (BASE, WARM) for other in OTHERS), f"{WARMUP}-{VALIDATION}")


def archive_path(file: str) -> Path:
    """Return where a downloaded archive lies, shared by all studies."""
    return RESOURCES / "pypi" / file


def hub_path(source: Source) -> Path:
    """Return where what a source fetches from the network lies once it is there, such as a model's folder, a data set's
    split as Parquet, or the folder of a benchmark that lm-eval knows by name.

    Raises:
        ValueError: it fetches nothing.
    """
    if source.fetched is None:
        raise ValueError(f"a source of kind '{source.kind}' fetches nothing")
    return RESOURCES / source.fetched


def documents_path(general: Path) -> Path:
    """Return what lies next to a file of general results: a line for each document of each task."""
    return general.with_name(f"{general.stem}-documents.jsonl")


def judgements_file(folder: Path, cell: Cell | str) -> Path:
    """Return the judgements on a cell's answers, in the folder of those on all."""
    return folder / f"{cell}.json"


WORDNET = RESOURCES / "wordnet"


@dataclass(frozen=True)
class Paths:
    """The tree below results/<study>. Patterns with braces are Snakemake's, made by passing `{model}` and the like."""

    study: str

    @property
    def root(self) -> Path:
        """Folder of the study."""
        return Path("results") / self.study

    def records(self, domain: str, split: str) -> Path:
        """Records of one split of a domain."""
        return self.root / "data" / domain / f"{split}.parquet"

    @property
    def overlap(self) -> Path:
        """What splits and general items share; a table with the suffix .md lies next to it."""
        return self.root / "data" / "overlap.json"

    @property
    def seal(self) -> Path:
        """What was settled before the results, as `grads seal` wrote it."""
        return self.root / "seal.json"

    def general(self, name: str) -> Path:
        """A file of the general benchmarks or instructions: <task>.jsonl, <task>.yaml, text.jsonl, anchor.parquet."""
        return self.root / "general" / name

    def model(self, model: str) -> Path:
        """Folder of a prepared model."""
        return self.root / "models" / model

    def encoder(self, encoder: str) -> Path:
        """Folder of a prepared sentence encoder."""
        return self.root / "encoders" / encoder

    def store(self, model: str, domain: str, point: str) -> Path:
        """Folder of a signal store: point is what `store_folder` returns."""
        return self.root / "signals" / model / domain / point

    def shard(self, model: str, domain: str, folder: str, shard: str) -> Path:
        """Folder of a part of a signal store, until the parts are joined."""
        return self.root / "signals" / model / domain / "shards" / folder / shard

    def selection(self, cell: Cell) -> Path:
        """What a method chose."""
        return self.root / "selections" / cell.model / cell.domain / cell.arm / cell.ratio / f"{cell.seed}.parquet"

    def run(self, cell: Cell) -> Path:
        """Folder of a cell's training and evaluation; the preliminary epoch is the arm `warm` at ratio 1."""
        return self.root / "runs" / str(cell)

    def cross(self, cell: Cell, other: str) -> Path:
        """Metrics of a cell on the test set of another domain; those of an untuned cell are its own there."""
        if cell.ratio == "0":
            return self.run(replace(cell, domain=other)) / "metrics.json"
        return self.run(cell) / "cross" / f"{other}.json"

    def cross_predictions(self, cell: Cell) -> Path:
        """Folder of a cell's answers to other domains' tests, one file a domain."""
        return self.run(cell) / "cross" / "predictions"

    @property
    def judgements(self) -> Path:
        """Folder of the judgements on all cells' answers (see `judgements_file`)."""
        return self.root / "judgements"

    def untuned_general(self, model: str) -> Path:
        """General part of the untuned model, evaluated once per model."""
        return self.root / "models" / f"{model}-untuned.json"

    def log(self, rule: str, *parts: object) -> Path:
        """What a job of a rule says; the parts are what its wildcards stand for, as they stand in the name."""
        folder = self.root / "logs"
        path = folder.joinpath(rule, *map(str, parts))
        return path.with_name(f"{path.name}.log")

    def scratch(self, purpose: str) -> Path:
        """Folder for resumable state, outside every declared output."""
        return self.root / "scratch" / purpose


def store_point(store: str) -> tuple[str, str | None, str]:
    """Return the point of a signal store by name, the encoder if it is of one, and whose records it is of.

    Raises:
        GradsError: there are no such signals.
    """
    kind, _, encoder = store.partition("-")
    if kind == ENCODER and encoder:
        other = next((other for other in OTHERS if encoder.endswith(other)), "")
        return kind, encoder.removesuffix(other), other.removeprefix("-") or TRAIN
    if store not in STORES:
        raise GradsError(f"signals cannot be called '{store}': {nearest(store, [*STORES, 'encoder-<name>'])}")
    point, _, other = store.partition("-")
    return point, None, other or TRAIN


def encoder_store(encoder: str, records: str = TRAIN) -> str:
    """Return the name of the store of a sentence encoder's vectors of some records."""
    return f"{ENCODER}-{encoder}" if records == TRAIN else f"{ENCODER}-{encoder}-{records}"


def split_label(label: str) -> tuple[str | None, str]:
    """Return the model and the name of `<model>:<name>`, such as a signal store's; None where it is the cell's own."""
    model, _, name = label.rpartition(":")
    return model or None, name


def store_folder(store: str, seed: int) -> str:
    """Return the folder name of a signal store; seeds share those that no training came before."""
    point, dash, kind = store.partition("-")
    return f"{point}-{seed}{dash}{kind}" if point in BY_SEED else store


def warm_cell(model: str, domain: str, seed: int) -> Cell:
    """Return the cell of the preliminary epoch that all arms of (model, domain, seed) share."""
    return Cell(model, domain, WARM, "1", seed)
