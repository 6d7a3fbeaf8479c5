"""What a method needs, made once in a work folder: a part that is there already is not made again."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from grads.cli.options import read_own_records
from grads.cli.parts import Parts
from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.ratios import AUTO
from grads.config.section import LossTurns
from grads.config.sources import FileSource, HubSource
from grads.config.training import Training
from grads.data.records.formatting import Example, Formatter
from grads.data.records.record import write_records
from grads.data.sources.hub import COMMIT
from grads.models.load import load_tokenizer
from grads.models.prepare import prepare_model
from grads.models.prepare_encoder import prepare_encoder
from grads.probing import run as probing
from grads.probing.during import During
from grads.probing.encoder import probe_encoder
from grads.probing.trajectory import TrajectoryLosses
from grads.runtime.errors import GradsError
from grads.runtime.files import digest, read_object, write_json
from grads.runtime.manifest import verified
from grads.runtime.progress import say
from grads.selection.registry import find_method, module_of, parse_parameters
from grads.selection.run import select_records
from grads.signals.names import ADAM_FEATURES, FEATURES
from grads.signals.store import read_store
from grads.study.code import code_version
from grads.study.contents import contents, model_files, own_files
from grads.study.data_files import format_of
from grads.study.paths import store_point
from grads.study.seeds import derive_seed
from grads.training.cell import Base, TrainingCell
from grads.training.run import train_cells


@dataclass(frozen=True)
class Settings:
    """What shapes the signals of somebody's own data; `encoders` are folders by names."""

    training: Training
    template: str | None
    fields: Mapping[str, str]
    leave: list[str]
    loss_turns: LossTurns
    metadata: list[str]
    encoders: Mapping[str, str]
    seed: int
    probe: Probe
    micro_batch: int


class Workbench:
    """A model, data and settings, and what is made of them.

    Args:
        parts: the work folder.
        source: where the model comes from.
        fetched: the folder of a model of the hub.
        data: the file of records.
        settings: everything else.
    """

    def __init__(
        self, parts: Parts, source: FileSource | HubSource, fetched: Path | None, data: Path, settings: Settings
    ) -> None:
        self.parts, self.source, self.fetched, self.data, self.settings = parts, source, fetched, data, settings

    @cached_property
    def origin(self) -> dict[str, Any]:
        """Return where the model comes from, as it is found: with the commit, if it is the hub's."""
        return self.source.model_dump() if self.fetched is None else read_object(self.fetched / COMMIT)

    def described(self) -> dict[str, Any]:
        """Return all settings, for manifests."""
        settings = self.settings
        asked = {"model": self.origin, "seed": settings.seed, "micro_batch": settings.micro_batch}
        asked |= {"fields": dict(settings.fields), "loss_turns": settings.loss_turns, "encoders": settings.encoders}
        asked |= {"metadata": settings.metadata, "leave": settings.leave}
        parts = {name: getattr(settings, name).model_dump() for name in ("training", "probe")}
        return {**asked, "format": self.form.model_dump(), **parts}

    def inputs(self, trained: Path | None = None, model: Path | None = None) -> dict[str, str]:
        """Return the SHA-256 of what a command reads, by path: of the model, the data and a trained model.

        `model` is the prepared model, or its tokenizer alone where nothing else of it is read.

        Call it before the work. The data are somebody's own, also where `grads select` wrote them first.

        Raises:
            GradsError: the trained model is not what `grads train` wrote.
        """
        model = model or self.model
        found = {str(model): verified(model), **contents(own_files(self.data), self.parts.fingerprints)}
        return found if trained is None else found | {str(trained): verified(trained)}

    def seed(self, purpose: str) -> int:
        """Return the seed of one purpose; names of files play no part in it."""
        return derive_seed(self.settings.seed, "", "", purpose)

    @cached_property
    def model(self) -> Path:
        """Return the prepared model."""
        return self.parts.part("model", self._model_key, lambda out: prepare_model(self.source, self.fetched, out))

    @cached_property
    def tokenizer(self) -> Path:
        """Return the model's config and tokenizer: all that a method needs which measures nothing."""
        return self.parts.part(
            "model-tokenizer", self._model_key, lambda out: prepare_model(self.source, self.fetched, out, weights=False)
        )

    @cached_property
    def _model_key(self) -> dict[str, Any]:
        # A branch and the commit that it was at are one model.
        hub = isinstance(self.source, HubSource)
        source = [self.origin["id"], self.origin["commit"]] if hub else self._known_by(model_files(self.origin["path"]))
        return {"source": source, "code": code_version("grads.models.prepare")}

    @cached_property
    def records(self) -> Path:
        """Return the file of records; `counts.json` beside it says what was left out."""
        code = code_version("grads.data.records.layouts", "grads.data.records.record")
        # Files of a folder are known by name, too: their order is that of their names.
        named = self._known_by(own_files(self.data))
        data = named if self.data.is_dir() else [sha256 for _, sha256 in named]
        # Equal bytes are not equal rows: the suffix says how they are read.
        key: dict[str, Any] = {"data": data, "format": format_of(self.data.name), "code": code}
        key |= {"fields": dict(self.settings.fields), "loss_turns": self.settings.loss_turns}
        key |= {"metadata": self.settings.metadata, "leave": self.settings.leave}
        return self.parts.part("records", key, self._write_records) / "records.parquet"

    def _write_records(self, out: Path) -> None:
        settings = self.settings
        how = (settings.fields, settings.loss_turns, settings.metadata, settings.leave)
        records, counts = read_own_records(self.data, *how)
        write_records(out / "records.parquet", records)
        write_json(out / "counts.json", counts)

    def counts(self) -> dict[str, int]:
        """Return how many records were read, empty and duplicate."""
        return read_object(self.records.with_name("counts.json"))

    @cached_property
    def form(self) -> Format:
        """Return the prompt's form: as asked, else the model's chat template, else the plain one."""
        template = self.settings.template
        if template is None:
            template = "chat" if load_tokenizer(self.tokenizer).chat_template else "plain"
        form = Format.model_validate({"template": template})
        Formatter(load_tokenizer(self.tokenizer), form)
        return form

    def store(self, name: str, measures: Collection[str] = ()) -> Path:
        """Return a signal store of a method's needs: any of the model's, or `encoder-<name>`.

        Raises:
            GradsError: what is asked for cannot be measured here, or a stage cannot work with a file.
        """
        if "adapter" in measures and self.settings.training.weights != "lora":
            raise GradsError("--training weights: the gradients of an adapter are asked for, which needs lora: set it")
        point, encoder, _records = store_point(name)
        if point == "during" and self.settings.probe.precision != self.settings.training.precision:
            raise GradsError("--dtype: at 'during' the weights are those in training: set --training precision instead")
        if encoder is not None:
            return self._encoder(encoder) / "store"
        made = {"tokens": self._tokens, "base": self._base, "warm": self._warm, "during": self._during}
        made["trajectory"] = self._trajectory
        return made[point](sorted(measures)) / "store"

    def examples(self) -> list[Example]:
        """Return the eligible records as the model sees them, in their order.

        Raises:
            GradsError: there are none.
        """
        task = self._task(self.parts.folder)
        if examples := probing.tokenize(task, load_tokenizer(self.tokenizer))[0].examples:
            return examples
        raise probing.nothing_eligible(task)

    def _task(self, out: Path, point: str = "tokens", **more: Any) -> probing.Task:
        model = self.tokenizer if point == "tokens" else self.model
        given = (model, self.records, self.form, self.settings.training, out / "store", point)
        scratch = self.parts.folder / "scratch" / f"probe-{point}"
        return probing.Task(*given, probe=self.settings.probe, scratch=scratch, **more)

    def _tokens(self, _measures: list[str]) -> Path:
        key = self._key("grads.probing.run")
        return self.parts.part("tokens", key, lambda out: probing.probe_tokens(self._task(out)))

    def _base(self, measures: list[str]) -> Path:
        seed, key = self.seed("initialisation"), self._probe_key(measures, "grads.probing.run")
        # Only the adapter's gradients depend on the adapter, if there is one: other signals serve all seeds.
        if {"adapter", *FEATURES} & set(measures):
            training = self.settings.training
            key |= {"weights": training.weights, "adapter": training.adapter.model_dump(), "adapter_seed": seed}
        rest = {"measures": measures, "label": "probe of the untrained model", "adapter_seed": seed}
        return self.parts.part("base", key, lambda out: probing.probe_model(self._task(out, "base", **rest)))

    def _warm(self, measures: list[str]) -> Path:
        trained = self._preliminary(measures)
        key = self._probe_key(measures, "grads.probing.run") | {"trained": trained.parent.name}
        rest: dict[str, Any] = {"measures": measures, "label": "probe after the preliminary epoch", "trained": trained}
        if ADAM_FEATURES in measures:
            rest["moments"] = trained.parent / "moments.safetensors"
        return self.parts.part("warm", key, lambda out: probing.probe_model(self._task(out, "warm", **rest)))

    def _during(self, measures: list[str]) -> Path:
        key = self._epoch_key() | self._probe_key(measures, "grads.training.run", "grads.probing.during")

        def make(out: Path) -> None:
            observer = During(out / "store", self.settings.probe, measures)
            files = (out / "adapter", out / "training.json")
            self.train("gradients during the preliminary epoch", *files, epochs=1, observer=observer)

        return self.parts.part("during", key, make)

    def _trajectory(self, _measures: list[str]) -> Path:
        run = self.settings.probe.trajectory
        key = self._epoch_key() | self._key("grads.training.run", "grads.probing.trajectory") | run.model_dump()
        key["nonfinite"] = self.settings.probe.nonfinite

        def make(out: Path) -> None:
            observer = TrajectoryLosses(out / "store", self.settings.probe)
            self.train("trajectory", out / "adapter", out / "training.json", epochs=run.epochs, observer=observer)

        return self.parts.part("trajectory", key, make)

    def _encoder(self, name: str) -> Path:
        source = FileSource(kind="file", path=self.settings.encoders[name])
        made_by = {
            "source": self._known_by(model_files(source.path)),
            "code": code_version("grads.models.prepare_encoder"),
        }
        encoder = self.parts.part("encoder", made_by, lambda out: prepare_encoder(source, None, out))
        tokens = self.store("tokens")
        key = {"encoder": encoder.name, "tokens": tokens.parent.name, "probe": self._probe}
        key["code"] = code_version("grads.probing.encoder")

        def make(out: Path) -> None:
            probe_encoder(encoder, self.records, tokens, self.settings.probe, out / "store", f"probe by {name}")

        return self.parts.part("sentences", key, make)

    def _preliminary(self, measures: list[str]) -> Path:
        """Return the adapter (or weights) after one epoch on all records; Adam's moments beside it if asked for."""
        moments = ADAM_FEATURES in measures

        def make(out: Path) -> None:
            probing.check_probe(self._task(out, "warm", measures=measures))
            kept = out / "moments.safetensors" if moments else None
            self.train("preliminary epoch", out / "adapter", out / "training.json", epochs=1, moments=kept)

        return self.parts.part("preliminary", self._epoch_key() | {"moments": moments}, make) / "adapter"

    def train(self, label: str, trained: Path, summary: Path, epochs: int | None = None, **more: Any) -> None:
        """Train on all records, for `epochs` or those of the settings; write the outputs. A stopped run resumes."""
        cell = TrainingCell(
            label=label,
            records=self.records,
            kept=None,
            trained=trained,
            summary=summary,
            scratch=self.parts.folder / "scratch" / label.replace(" ", "-"),
            initialisation_seed=self.seed("initialisation"),
            order_seed=self.seed("order"),
            epochs=epochs,
            base=self._base_model,
            **more,
        )
        train_cells([cell], self.model, self.form, self.settings.training, self.settings.micro_batch)

    @property
    def _base_model(self) -> Base:
        """What adapters name as their model: the hub's id, or where the files are."""
        if isinstance(self.source, HubSource):
            return Base(self.origin["id"], self.origin["commit"])
        return Base(str(Path(self.source.path).absolute()))

    def read_model(self, name: str, parameters: Mapping[str, Any], ratio: str) -> Path:
        """Return what a method reads of the model: its tokenizer, or all of it where anything is measured."""
        method = find_method(name)
        needs = method.needs(parse_parameters(method, parameters))
        return self.model if needs.stores or needs.references(ratio == AUTO) else self.tokenizer

    def selection(self, name: str, parameters: Mapping[str, Any], ratio: str) -> Path:
        """Return the selection (Parquet) of a method that `check_method` allows; an arm that it refers to is the method
        of that name, with its defaults.
        """
        method = find_method(name)
        needs = method.needs(parse_parameters(method, parameters))
        stores = {"tokens": self.store("tokens")}
        stores |= {store: self.store(store, measures) for store, measures in sorted(needs.stores.items())}
        others = {other: self.selection(other, {}, ratio) for other in needs.references(ratio == AUTO)}
        key = {"method": name, "parameters": dict(parameters), "ratio": ratio, "seed": self.settings.seed}
        key |= {"records": self.records.parent.name}
        key |= {"files": contents(needs.files, self.parts.fingerprints)}
        key |= {"stores": sorted(path.parent.name for path in stores.values())}
        key |= {"references": sorted(path.parent.name for path in others.values())}
        key |= {"code": code_version("grads.selection.run", module_of(name))}

        def make(out: Path) -> None:
            say(f"select: {method.title} at {ratio}")
            read = {store: read_store(path) for store, path in stores.items()}
            seed = self.seed("selection")
            files = dict.fromkeys(needs.texts, self.records)
            chosen = out / "selection.parquet"
            select_records(name, parameters, ratio, seed, read, others, chosen, files, records=self.records)

        return self.parts.part(f"selection-{name}", key, make) / "selection.parquet"

    def _known_by(self, files: Iterable[Path]) -> list[list[str]]:
        """Return the names and the SHA-256 of files, wherever they lie."""
        found = contents(files, self.parts.fingerprints)
        return [[Path(path).name, sha256] for path, sha256 in found.items()]

    def _key(self, *modules: str) -> dict[str, Any]:
        """Return the key of what is made of the tokenised records by the code of some modules."""
        made_from = {
            "model": digest(self._model_key),
            "records": self.records.parent.name,
            "form": self.form.model_dump(),
        }
        limits = self.settings.training.model_dump(include={"max_length", "over_length"})
        return made_from | limits | {"code": code_version(*modules)}

    def _probe_key(self, measures: list[str], *modules: str) -> dict[str, Any]:
        return self._key(*modules) | {"probe": self._probe, "measures": measures}

    @property
    def _probe(self) -> dict[str, Any]:
        return self.settings.probe.model_dump(exclude=probing.UNREAD)

    def _epoch_key(self) -> dict[str, Any]:
        """Return the key of the preliminary epoch; its micro-batch is the machine's, and `training.json` has it."""
        key = self._key("grads.training.run") | {"training": self.settings.training.model_dump(exclude={"epochs"})}
        return key | {"seed": self.settings.seed}
