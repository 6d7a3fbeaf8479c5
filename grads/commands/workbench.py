"""What a method needs, made once in a work folder: a part that is there already is not made again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from grads.commands.options import model_source
from grads.data.formatting import Formatter
from grads.data.layouts import read_records
from grads.data.records import write_records
from grads.methods.contract import Method
from grads.methods.registry import find_method, module_of, parse_parameters
from grads.methods.stage import select_records
from grads.models.load import load_tokenizer
from grads.models.prepare import prepare_model
from grads.probe import stage as probing
from grads.probe.store import read_store
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, digest, read_json, sha256_file, write_json
from grads.runtime.manifest import write_manifests
from grads.runtime.progress import say
from grads.study.code import code_version
from grads.study.config import Format, Probe, Training
from grads.study.ratios import AUTO
from grads.study.seeds import derive_seed
from grads.train.stage import TrainingCell, train_cells


@dataclass(frozen=True)
class Settings:
    """What shapes the signals of somebody's own data."""

    training: Training
    probe: Probe
    template: str | None
    seed: int
    micro_batch: int


class Workbench:
    """A model, data and settings, and the folder where what is made of them is kept, keyed by all that made it."""

    def __init__(self, folder: Path, model: str, data: Path, settings: Settings) -> None:
        self.folder, self.source, self.data, self.settings = folder, model_source(model), data, settings
        self._known: set[Path] = set()
        if not data.is_file():
            raise GradsError(f"--data {data} is not there: give a file with one JSON record a line")

    def part(self, name: str, key: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """Return the folder `name-<hash of key>`, after making it if it is not there."""
        path = self.folder / f"{name}-{digest(key, 12)}"
        if path.is_dir():
            if path not in self._known:
                say(f"{name}: there already, {path}")
            self._known.add(path)
            return path
        started = time.time()
        with atomic_path(path) as temporary:
            temporary.mkdir()
            make(temporary)
        write_manifests([path], [], {"part": name, **key}, started)
        self._known.add(path)
        return path

    def described(self) -> dict[str, Any]:
        """Return all settings, for manifests."""
        asked = {"model": self.source.path, "seed": self.settings.seed, "micro_batch": self.settings.micro_batch}
        parts = {name: getattr(self.settings, name).model_dump() for name in ("training", "probe")}
        return {**asked, "format": self.form.model_dump(), **parts}

    def seed(self, purpose: str) -> int:
        """Return the seed of one purpose; names of files play no part in it."""
        return derive_seed(self.settings.seed, "", "", purpose)

    @cached_property
    def model(self) -> Path:
        """Return the prepared model."""
        key = {"source": _fingerprint(Path(self.source.path)), "code": code_version("grads.models.prepare")}
        return self.part("model", key, lambda out: prepare_model(self.source, None, out))

    @cached_property
    def records(self) -> Path:
        """Return the file of records; `counts.json` beside it says what was left out."""
        key = {"data": sha256_file(self.data), "code": code_version("grads.data.layouts", "grads.data.records")}
        return self.part("records", key, self._write_records) / "records.parquet"

    def _write_records(self, out: Path) -> None:
        records, counts = read_records(self.data)
        if not records:
            raise GradsError(
                f"{self.data}: none of {counts['read']} records has an instruction and an output: add them"
            )
        write_records(out / "records.parquet", records)
        write_json(out / "counts.json", counts)

    def counts(self) -> dict[str, int]:
        """Return how many records were read, empty and duplicate."""
        return read_json(self.records.with_name("counts.json"))

    @cached_property
    def form(self) -> Format:
        """Return the prompt's form: as asked, else the model's chat template, else the plain one."""
        template = self.settings.template
        if template is None:
            template = "chat" if load_tokenizer(self.model).chat_template else "plain"
        form = Format.model_validate({"template": template})
        Formatter(load_tokenizer(self.model), form)
        return form

    def store(self, point: str, measures: frozenset[str] = frozenset()) -> Path:
        """Return a signal store, `tokens`, `base` or `warm`, that holds what is asked for."""
        form, limits, probe = self.form, self.settings.training, self.settings.probe
        given: dict[str, Any] = {"model": self.model, "records": self.records, "form": form, "training": limits}

        def task(out: Path) -> probing.Task:
            return probing.Task(**given, point=point, out=out / "store")

        key = self._key("grads.probe.stage") | {"max_length": limits.max_length, "over_length": limits.over_length}
        if point == "tokens":
            return self.part("tokens", key, lambda out: probing.probe_tokens(task(out))) / "store"
        key |= {"probe": probe.model_dump(exclude=probing.MACHINE), "measures": sorted(measures)}
        if point == "base":
            given |= {"adapter_seed": self.seed("initialisation"), "label": "probe of the untrained model"}
            key |= {"adapter_seed": given["adapter_seed"]}
        elif point == "warm":
            given |= {"trained": self.preliminary(), "label": "probe after the preliminary epoch"}
            key |= {"trained": given["trained"].parent.name}
        else:
            raise GradsError(f"signals '{point}' are not made by this command: run the method in a study")
        given |= {"probe": probe, "measures": measures, "scratch": self.folder / "scratch" / f"probe-{point}"}
        return self.part(point, key, lambda out: probing.probe_model(task(out))) / "store"

    def preliminary(self) -> Path:
        """Return the adapter (or weights) after one epoch on all records."""
        key = self._key("grads.train.stage") | {"training": self.settings.training.model_dump(exclude={"epochs"})}
        key |= {"seed": self.settings.seed, "micro_batch": self.settings.micro_batch}
        return self.part("preliminary", key, lambda out: self.train("preliminary epoch", out, epochs=1)) / "adapter"

    def train(self, label: str, out: Path, epochs: int | None = None) -> None:
        """Train on all records; write `adapter/` and `training.json` to `out`. A stopped run resumes."""
        cell = TrainingCell(
            label=label,
            records=self.records,
            kept=None,
            trained=out / "adapter",
            summary=out / "training.json",
            scratch=self.folder / "scratch" / label.replace(" ", "-"),
            initialisation_seed=self.seed("initialisation"),
            order_seed=self.seed("order"),
            epochs=epochs,
        )
        train_cells([cell], self.model, self.form, self.settings.training, self.settings.micro_batch)

    def selection(self, name: str, parameters: Mapping[str, Any], ratio: str, chain: tuple[str, ...] = ()) -> Path:
        """Return the selection (Parquet) of a method; an arm that it refers to is the method of that name.

        Raises:
            GradsError: the method does not select, or the methods refer to each other in a circle.
        """
        method = find_method(name)
        _check_selects(method)
        if name in chain:
            raise GradsError(
                f"the methods {', '.join(chain)} refer to each other in a circle: choose another reference"
            )
        needs = method.needs(parse_parameters(method, parameters))
        stores = {"tokens": self.store("tokens")}
        stores |= {point: self.store(point, measures) for point, measures in sorted(needs.stores.items())}
        arms = needs.references(ratio == AUTO)
        others = {other: self.selection(other, {}, ratio, (*chain, name)) for other in arms}
        key = {"method": name, "parameters": dict(parameters), "ratio": ratio, "seed": self.settings.seed}
        key |= {"stores": sorted(path.parent.name for path in stores.values())}
        key |= {"references": sorted(path.parent.name for path in others.values())}
        key |= {"code": code_version("grads.methods.stage", module_of(name))}

        def make(out: Path) -> None:
            say(f"select: {method.title} at {ratio}")
            read = {point: read_store(path) for point, path in stores.items()}
            seed = self.seed("selection")
            select_records(name, parameters, ratio, seed, read, others, out / "selection.parquet")

        return self.part(f"selection-{name}", key, make) / "selection.parquet"

    def _key(self, module: str) -> dict[str, Any]:
        made_from = {"model": self.model.name, "records": self.records.parent.name}
        return {**made_from, "form": self.form.model_dump(), "code": code_version(module)}


def _check_selects(method: Method) -> None:
    if method.fixed_ratio is not None or method.equal_steps:
        raise GradsError(f"method '{method.name}' is a control that selects nothing: `grads list methods` shows others")


def _fingerprint(path: Path) -> list[Any]:
    """Return names, sizes and times of a model's files: reading 30 GB to know them again would take minutes."""
    files = [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())
    return [[str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
