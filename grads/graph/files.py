"""The graph of a command on somebody's own model and records: the jobs of a study, placed in a work folder.

Each job has a folder of its own, named after all that shapes what it makes, so that what is there already serves the
next command as well.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from grads.config.evaluation import SHAPING, Evaluation, Generation
from grads.config.general import General, HarnessData
from grads.config.models import Format, ModelSource
from grads.config.probe import UNREAD, Probe
from grads.config.ratios import AUTO
from grads.config.section import LossTurns
from grads.config.sources import Archive, FileSource, Source
from grads.config.training import Training
from grads.data.job import FetchArchive, FetchTask, PrepareGeneral, ReadRecords
from grads.data.sources.hub import COMMIT
from grads.evaluation.job import Evaluate, Metrics
from grads.graph.job import GradientsDuring, PreliminaryEpoch, Trajectory
from grads.graph.sorting import in_order
from grads.graph.study import item_settings, task_settings
from grads.models.job import FetchModel, PrepareEncoder, PrepareModel
from grads.probing.job import ProbeEncoder, ProbeModel, ProbeTokens
from grads.runtime.errors import GradsError
from grads.runtime.files import digest, read_object
from grads.runtime.fingerprints import Fingerprints
from grads.runtime.manifest import verified
from grads.selection.job import Select
from grads.selection.registry import find_method, parse_parameters
from grads.signals.names import ADAM_FEATURES, FEATURES
from grads.study.contents import (
    archive_contents,
    contents,
    model_files,
    own_files,
    source_files,
    task_files,
    watched,
)
from grads.study.data_files import format_of
from grads.study.job import Job
from grads.study.paths import (
    DURING,
    TOKENS,
    TRAIN,
    TRAJECTORY,
    archive_path,
    documents_path,
    hub_path,
    store_point,
)
from grads.study.seeds import derive_seed
from grads.training.job import Train

AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True)
class Request:
    """A model, a file of records, and what shapes the signals of these.

    Attributes:
        encoders: folders of sentence encoders, by names.
        others: files of further records that methods may read: `validation`, `anchor`.
        limit: how many of the records are taken, the first ones; all where there is none.
    """

    source: ModelSource
    data: Path
    training: Training
    probe: Probe
    fields: Mapping[str, str]
    leave: list[str]
    loss_turns: LossTurns
    metadata: list[str]
    encoders: Mapping[str, str]
    seed: int
    others: Mapping[str, Path] = field(default_factory=dict)
    limit: int | None = None


@dataclass(frozen=True)
class GeneralPart:
    """What is measured besides the answers: benchmarks and general text, and the archives that they are in, by key."""

    general: General
    archives: Mapping[str, Archive]


class FileGraph:
    """The jobs of a command.

    Args:
        work: folder for what is made on the way.
        request: the model, the data and the settings.
        find_form: says how records become prompts; called once, for what reads records as the model does.
    """

    def __init__(self, work: Path, request: Request, find_form: Callable[[], Format]) -> None:
        self.work = work
        self.request = request
        self._find_form = find_form
        self.fingerprints = Fingerprints(work / "fingerprints.json")
        self._makers: dict[Path, Job] = {}
        self._held: dict[str, list[str]] = {}

    def fetch_model(self) -> FetchModel | None:
        """Return the job that fetches the model, where it comes from the network."""
        source = self.request.source
        if source.fetched is None:
            return None
        return self._placed("hub", lambda out: FetchModel(source=source, folder=out / "model"))

    @cached_property
    def origin(self) -> dict[str, Any]:
        """Where the model comes from: with the commit, if it is fetched from the network and there already."""
        fetch = self.fetch_model()
        return self.request.source.model_dump() if fetch is None else read_object(fetch.folder / COMMIT)

    def prepare_model(self, weights: bool = True) -> PrepareModel:
        """Return the job that makes the model ready, or only its config and tokenizer."""
        source = self.request.source
        fetch = self.fetch_model()
        files = [file for path in source.own_files for file in model_files(path)]
        # A branch and the commit that it was at are one model.
        known = self._known_by(files) if fetch is None else [*self._base_model.values()]

        def made(out: Path) -> PrepareModel:
            return PrepareModel(
                source=source,
                files=files,
                fetched=fetch and fetch.folder,
                weights=weights,
                folder=out / "model",
                contents=contents(files, self.fingerprints),
            )

        return self._placed("model" if weights else "tokenizer", made, known, unread={"source", "fetched"})

    def read_records(self, split: str = TRAIN) -> ReadRecords:
        """Return the job that reads the records, or further ones: `validation`, `anchor`."""
        request = self.request
        data = request.data if split == TRAIN else request.others[split]
        files = own_files(data)
        named = self._known_by(files)
        # Files of a folder are known by name, too: their order is that of their names.
        known = named if data.is_dir() else [sha256 for _, sha256 in named]

        def made(out: Path) -> ReadRecords:
            return ReadRecords(
                files=files,
                data=data,
                # Equal bytes are not equal rows: the suffix says how they are read.
                kind=str(format_of(data.name)),
                fields=dict(request.fields) if split == TRAIN else columns_there(data, request.fields),
                loss_turns=request.loss_turns,
                metadata=request.metadata if split == TRAIN else [],
                limit=request.limit if split == TRAIN else None,
                leave=request.leave,
                records=out / "records.parquet",
                counts=out / "counts.json",
                contents=contents(files, self.fingerprints),
            )

        return self._placed("records", made, known)

    # Signals.

    def store(self, name: str, measures: Collection[str] = ()) -> Job:
        """Return the job that makes a signal store of a method's needs; its field `store` is where.

        Raises:
            GradsError: what is asked for cannot be measured here.
        """
        # What is measured already at a point serves whatever asks for a part of it.
        known = self._held.get(name, [])
        held = known if known and set(measures) <= set(known) else sorted(measures)
        if "adapter" in held and self.request.training.weights != "lora":
            raise GradsError("--training weights: the gradients of an adapter are asked for, which needs lora: set it")
        point, encoder, split = store_point(name)
        if point == DURING and self.request.probe.precision != self.request.training.precision:
            raise GradsError("--dtype: at 'during' the weights are those in training: set --training precision instead")
        if encoder is not None:
            return self._encoder(encoder, split)
        if point == TOKENS:
            return self.tokens()
        if point == DURING:
            return self._during(held)
        if point == TRAJECTORY:
            return self._trajectory()
        return self._base(held, split) if point == "base" else self._warm(held, split)

    def hold(self, name: str, measures: Collection[str]) -> None:
        """Have a store hold all of this from now on, whichever part of it is asked for."""
        self._held[name] = sorted({*self._held.get(name, ()), *measures})

    def tokens(self) -> ProbeTokens:
        """Return the job that counts the tokens of the records."""
        return self._placed(
            TOKENS,
            lambda out: ProbeTokens(
                model=self.prepare_model(weights=False).folder,
                records=self.read_records().records,
                form=self.form,
                limits=self._limits,
                label="tokens",
                store=out / "store",
            ),
        )

    def hold_as(self, other: "FileGraph") -> None:
        """Hold what another graph holds."""
        for name, measures in other._held.items():
            self.hold(name, measures)

    def _base(self, held: list[str], split: str) -> ProbeModel:
        # Only the adapter's gradients depend on the adapter, if there is one: other signals serve all seeds.
        adapted = bool({"adapter", *FEATURES} & set(held))
        shape = self.request.training.model_dump(mode="json", include={"weights", "adapter"}) if adapted else {}
        seed = self._seed("initialisation") if adapted else None
        more = {"limits": self._limits | shape, "adapter_seed": seed}
        return self._probe("base", held, split, "probe of the untrained model", more)

    def _warm(self, held: list[str], split: str) -> ProbeModel:
        epoch = self.preliminary_epoch(held)
        more: dict[str, Any] = {"limits": self._limits, "trained": epoch.trained}
        if ADAM_FEATURES in held:
            more["moments"] = epoch.moments
        return self._probe("warm", held, split, "probe after the preliminary epoch", more)

    def _probe(
        self, point: Literal["base", "warm"], held: list[str], split: str, label: str, more: Mapping[str, Any]
    ) -> ProbeModel:
        name = point if split == TRAIN else f"{point}-{split}"
        return self._placed(
            name,
            lambda out: ProbeModel(
                model=self.prepare_model().folder,
                records=self.read_records(split).records,
                point=point,
                measures=held,
                form=self.form,
                probe=self._probe_settings,
                scratch=self.work / "scratch" / f"probe-{name}",
                store=out / "store",
                label=label if split == TRAIN else f"{label}, {split} records",
                **more,
            ),
        )

    def _encoder(self, name: str, split: str) -> ProbeEncoder:
        source = FileSource(kind="file", path=self.request.encoders[name])
        files = model_files(source.path)
        prepared = self._placed(
            "encoder",
            lambda out: PrepareEncoder(
                source=source, files=files, folder=out / "encoder", contents=contents(files, self.fingerprints)
            ),
            self._known_by(files),
            unread={"source"},
        )
        return self._placed(
            "sentences" if split == TRAIN else f"sentences-{split}",
            lambda out: ProbeEncoder(
                encoder=prepared.folder,
                records=self.read_records(split).records,
                model=self.prepare_model(weights=False).folder,
                form=self.form,
                limits=self._limits,
                probe=self._probe_settings,
                label=f"probe by {name}" if split == TRAIN else f"probe by {name}, {split} records",
                store=out / "store",
            ),
        )

    # Training.

    def preliminary_epoch(self, measures: list[str]) -> PreliminaryEpoch:
        """Return the job of one epoch on all records, after which something is measured."""
        keeps = ADAM_FEATURES in measures
        return self._placed(
            "preliminary",
            lambda out: PreliminaryEpoch(
                measures=measures,
                probe=self.request.probe,
                moments=out / "moments.safetensors" if keeps else None,
                label="preliminary epoch",
                **self._epoch(out, "preliminary-epoch"),
            ),
        )

    def _during(self, held: list[str]) -> GradientsDuring:
        return self._placed(
            DURING,
            lambda out: GradientsDuring(
                measures=held,
                probe=self._probe_settings,
                store=out / "store",
                label="gradients during the preliminary epoch",
                **self._epoch(out, "during"),
            ),
        )

    def _trajectory(self) -> Trajectory:
        run = self.request.probe.trajectory
        return self._placed(
            TRAJECTORY,
            lambda out: Trajectory(
                probe=self.request.probe.model_dump(mode="json", include={"trajectory", "nonfinite"}),
                store=out / "store",
                label="trajectory",
                **self._epoch(out, "trajectory") | {"epochs": run.epochs},
            ),
        )

    def _epoch(self, out: Path, name: str) -> dict[str, Any]:
        training = self.request.training.model_dump(mode="json", exclude={"epochs"})
        return {"training": training, "epochs": 1, **self._run(out / "adapter", out / "training.json", name)}

    def train(
        self,
        strategy: str,
        parameters: Mapping[str, Any],
        needs: Mapping[str, Collection[str]],
        selection: Select | None = None,
        trained: Path | None = None,
    ) -> Train:
        """Return the job that trains on what a selection keeps, or on all records.

        Args:
            strategy: name of the training strategy.
            parameters: those that differ from its defaults.
            needs: the signal stores that it reads, and what each must hold.
            selection: the job that selects, if any does.
            trained: folder of the adapter or weights, where somebody asked for it; in the work folder if not given.
                Next to it stands a JSON file of counts, seconds and the training curve.
        """

        def made(folder: Path, summary: Path) -> Train:
            return Train(
                strategy=strategy,
                strategy_parameters=dict(parameters),
                stores={name: _store_of(self.store(name, measures)) for name, measures in needs.items()},
                selection=selection and selection.selection,
                counts=selection and selection.summary,
                training=self.request.training.model_dump(mode="json"),
                label="training",
                **self._run(folder, summary, "training"),
            )

        if trained is not None:
            return made(trained, trained.with_name(f"{trained.name}.training.json"))
        return self._placed("trained", lambda out: made(out / "trained", out / "training.json"))

    # Evaluation.

    def evaluate(
        self,
        trained: Path | None,
        generation: Generation,
        evaluation: Evaluation,
        predictions: Path | None = None,
        general: GeneralPart | None = None,
    ) -> Evaluate:
        """Return the job that has a model answer the records.

        Args:
            trained: adapter or weights; none for the model as it came.
            generation: how answers are generated.
            evaluation: how the model is run.
            predictions: JSON lines to write, where somebody asked for them; in the work folder if not given.
            general: benchmarks and general text, if they are measured too; not where the predictions are asked for.
        """
        asked = {"text_tokens": 0} if general is None else self._general_part(general)

        def made(file: Path) -> Evaluate:
            results = None if general is None else file.with_name("general.json")
            return Evaluate(
                model=self.prepare_model().folder,
                trained=trained,
                tests=[self.read_records().records],
                max_length=self.request.training.max_length,
                form=self.form,
                generation=generation,
                evaluation=evaluation.model_dump(mode="json", include=SHAPING),
                label="evaluate",
                predictions=[file],
                general=results,
                documents=results and documents_path(results),
                **asked,
            )

        if predictions is not None:
            return made(predictions)
        known = None if trained is None else [verified(trained)]
        # A benchmark that lm-eval knows by name lies where studies fetch it; the items that were drawn stand for it.
        unread = {"trained", "task_files"}
        return self._placed("answers", lambda out: made(out / "predictions.jsonl"), known, unread)

    def _general_part(self, asked: GeneralPart) -> dict[str, Any]:
        """Return what an evaluation reads of benchmarks and general text, after drawing them."""
        general = asked.general
        drawn = self.prepare_general(asked)
        folder = drawn.text.parent
        return {
            "samples": drawn.samples,
            "task_files": [
                folder / f"{name}.yaml" if task.yaml else hub_path(task.data) for name, task in general.tasks.items()
            ],
            "text": drawn.text,
            "tasks": {name: task_settings(general, task) for name, task in general.tasks.items()},
            "text_tokens": general.text.max_tokens,
        }

    def prepare_general(self, asked: GeneralPart) -> PrepareGeneral:
        """Return the job that draws the items of benchmarks, and general text."""
        general = asked.general
        sources: list[Source] = [*(task.data for task in general.tasks.values()), general.text.source]
        keys = sorted({source.archive_key for source in sources if source.archive_key})
        archives = {key: archive_path(asked.archives[key].file) for key in keys}
        for key, file in archives.items():
            self._makers[file] = FetchArchive(archive=asked.archives[key], file=file)
        fetched = [source for source in sources if isinstance(source, HarnessData)]
        for source in fetched:
            folder = hub_path(source)
            self._makers[folder] = FetchTask(source=source, allow_code=general.allow_code, folder=folder)
        files = [file for source in sources for file in source_files(source)]
        named = sorted({file for task in general.tasks.values() if task.file for file in task_files(task.file)})
        own = contents([*files, *named], self.fingerprints)
        known = [*self._known_by([*files, *named]), *(asked.archives[key].sha256 for key in keys)]

        def made(out: Path) -> PrepareGeneral:
            return PrepareGeneral(
                archives=archives,
                files=watched(files),
                fetched=[hub_path(source) for source in fetched],
                task_files=watched(named),
                general=item_settings(general),
                study_general=general,
                samples=[out / f"{name}.jsonl" for name in general.tasks],
                tasks=[out / f"{name}.yaml" for name, task in general.tasks.items() if task.yaml],
                text=out / "text.jsonl",
                counts=out / "counts.json",
                contents=own | archive_contents(archives, asked.archives),
            )

        return self._placed("general", made, known, unread={"fetched"})

    def metrics(self, evaluated: Evaluate, names: Sequence[str], language: str, wordnet: Path | None) -> Metrics:
        """Return the job that measures the answers that another one writes.

        Args:
            evaluated: that job.
            names: of the metrics.
            language: of the answers.
            wordnet: WordNet's folder, where a metric reads it.
        """
        known = None if wordnet is None else [verified(wordnet)]
        return self._placed(
            "metrics",
            lambda out: Metrics(
                predictions=evaluated.predictions[0],
                wordnet=wordnet,
                metrics=list(names),
                language=language,
                file=out / "metrics.json",
            ),
            known,
            unread={"wordnet"},
        )

    def _run(self, trained: Path, summary: Path, name: str) -> dict[str, Any]:
        """Return what all training runs have in common."""
        curves = summary.with_name(f"{summary.name.removesuffix('training.json')}tensorboard")
        return {
            "model": self.prepare_model().folder,
            "records": self.read_records().records,
            "form": self.form,
            "base": self._base_model,
            "initialisation_seed": self._seed("initialisation"),
            "order_seed": self._seed("order"),
            "scratch": self.work / "scratch" / name,
            "curves": curves if self.request.training.tensorboard else None,
            "trained": trained,
            "summary": summary,
        }

    @property
    def _base_model(self) -> dict[str, str | None]:
        """What adapters name as their model: a repository with its commit, or where the files are."""
        identity = self.request.source.identity
        assert identity is not None
        if self.fetch_model() is None:
            return {"name": str(Path(str(identity["name"])).absolute())}
        return {**identity, "revision": self.origin["commit"]}

    # Selection.

    def reads_weights(self, name: str, parameters: Mapping[str, Any], ratio: str) -> bool:
        """Return whether a method reads anything that is measured, or only the model's tokenizer."""
        method = find_method(name)
        needs = method.needs(parse_parameters(method, parameters))
        return bool(needs.stores or needs.references(ratio == AUTO))

    def select(self, name: str, parameters: Mapping[str, Any], ratio: str) -> Select:
        """Return the job of a method's selection; an arm that it refers to is the method of that name, with its
        defaults.
        """
        method = find_method(name)
        needs = method.needs(parse_parameters(method, parameters))
        stores = {TOKENS: _store_of(self.tokens())}
        stores |= {store: _store_of(self.store(store, held)) for store, held in sorted(needs.stores.items())}
        records = self.read_records().records
        texts = {split: self.read_records(split).records for split in sorted(needs.texts)}
        files = [Path(file) for file in needs.files]
        references = {other: self.select(other, {}, ratio).selection for other in needs.references(ratio == AUTO)}

        def made(out: Path) -> Select:
            return Select(
                method=name,
                parameters=dict(parameters),
                ratio=ratio,
                seed=self._seed("selection"),
                stores=stores,
                texts=texts,
                references=references,
                records=records,
                files=files,
                selection=out / "selection.parquet",
                summary=out / "selection.json",
                contents=contents(files, self.fingerprints),
            )

        return self._placed(f"selection-{name}", made)

    # The graph as a whole.

    def before(self, job: Job) -> list[Job]:
        """Return the jobs on the way to a job, itself the last, each after those that it reads from."""
        return in_order([job], self._makers.get)

    def _placed(
        self, name: str, made: Callable[[Path], AnyJob], known: Any = None, unread: Collection[str] = ()
    ) -> AnyJob:
        """Return a job in a folder named after all that shapes what it makes.

        Args:
            name: begins the folder's name.
            made: makes the job of its folder.
            known: what is read from outside, in place of where it lies.
            unread: fields that `known` stands for.
        """
        job = made(self.work)
        asked = {key: value for key, value in job.settings.items() if key not in unread}
        asked["contents"] = known if known is not None else asked["contents"]
        # Wherever the work folder lies.
        for read in job.read.keys() - set(unread):
            asked[read] = [str(path.relative_to(self.work)) for path in job.read[read]]
        job = made(self.work / f"{name}-{digest(asked, 12)}")
        earlier = self._makers.get(job.outputs[0])
        if earlier is not None and set(job.outputs) <= set(earlier.outputs):
            return earlier  # type: ignore[return-value] # made by the same call
        self._makers |= dict.fromkeys(job.outputs, job)
        return job

    def _known_by(self, files: Iterable[Path]) -> list[list[str]]:
        """Return the names and the SHA-256 of files, wherever they lie."""
        found = contents(files, self.fingerprints)
        return [[Path(path).name, sha256] for path, sha256 in found.items()]

    def _seed(self, purpose: str) -> int:
        """Return the seed of one purpose; names of files play no part in it."""
        return derive_seed(self.request.seed, "", "", purpose)

    @cached_property
    def form(self) -> Format:
        """How records become prompts."""
        return self._find_form()

    @cached_property
    def _limits(self) -> dict[str, Any]:
        return self.request.training.model_dump(mode="json", include={"max_length", "over_length"})

    @cached_property
    def _probe_settings(self) -> dict[str, Any]:
        return self.request.probe.model_dump(mode="json", exclude=UNREAD)


def columns_there(data: Path, fields: Mapping[str, str]) -> dict[str, str]:
    """Return those names of fields whose columns a file has: further records may have another layout than the data."""
    from grads.data.records.rows import read_rows

    _place, row = next(iter(read_rows(data)), ("", {}))
    return {ours: theirs for ours, theirs in fields.items() if theirs in row}


def _store_of(job: Job) -> Path:
    """Return the signal store that a job makes."""
    (store,) = job.made["store"]
    return store
