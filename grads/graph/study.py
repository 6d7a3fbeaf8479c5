"""The graph of a study: every job, by its rule and what the rule's wildcards stand for."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

from grads.config.domains import Domain
from grads.config.evaluation import SHAPING
from grads.config.general import General, Task
from grads.config.kinds import RECORDS
from grads.config.probe import UNREAD
from grads.config.sources import Archive, Source
from grads.config.study import Study
from grads.data.job import (
    FetchArchive,
    FetchData,
    FetchTask,
    InstallWordnet,
    PrepareDomains,
    PrepareGeneral,
    PrepareInstructions,
    ReportOverlap,
)
from grads.evaluation.job import Evaluate, Judge, Metrics, Rewrite
from grads.evaluation.metrics.registry import computed, find_metric
from grads.graph.job import GradientsDuring, PreliminaryEpoch, TeachModel, Trajectory, Warmup
from grads.graph.needs import arm_stores, measures, model_stores
from grads.graph.sorting import in_order
from grads.models.job import FetchModel, PrepareEncoder, PrepareModel
from grads.probing.job import JoinShards, ProbeEncoder, ProbeModel, ProbeTokens
from grads.report.contract import Item, TableItem
from grads.report.files import CellFiles, SelectionFiles, answer_files, cell_files, listed, selection_files
from grads.report.job import Curves, Measurements, Pages, Partial, SelectionTables, Tables
from grads.report.registry import (
    measured_figures,
    measured_tables,
    modules_of,
    selection_figures,
    selection_tables,
    training_figures,
)
from grads.runtime.fingerprints import OUTSIDE, Fingerprints
from grads.runtime.shipped import located
from grads.selection.job import Select
from grads.selection.needs import arm_method, arm_needs, needs_moments, references, scorer_of
from grads.signals.columns import columns
from grads.signals.names import FEATURES
from grads.study.contents import archive_contents, contents, own_files, source_files, task_files, watched
from grads.study.defaults import default_sentence, filled_in
from grads.study.grid import Cell, cells, cross_domains
from grads.study.job import Job
from grads.study.paths import (
    ANCHOR,
    BY_SEED,
    DURING,
    RESOURCES,
    REWRITTEN,
    TOKENS,
    TRAJECTORY,
    VALIDATION,
    WARM,
    WARMUP,
    WORDNET,
    Paths,
    archive_path,
    documents_path,
    encoder_store,
    hub_path,
    store_folder,
    store_point,
    warm_cell,
)
from grads.study.seeds import derive_seed
from grads.training.job import Train
from grads.training.needs import strategy_needs

SPLITS = ("train", "validation", "test")
UNTUNED = "untuned"
WORDNET_KEY = "evaluation.wordnet"
"""Of the study's sources, the one that is read only for some metrics."""


@dataclass(frozen=True)
class Outside:
    """What a job reads from outside the study, of some sources of its config.

    Attributes:
        archives: fetched archives, by their keys.
        files: the user's own files.
        fetched: what was fetched from the network.
        contents: the SHA-256 of archives and files, by path.
    """

    archives: dict[str, Path]
    files: list[Path]
    fetched: list[Path]
    contents: dict[str, str]


class StudyGraph:
    """The jobs of a study.

    Each method is called as a rule of the workflow is, and returns the job of its wildcards. What the config leaves
    out has no job: the methods are called for what the study has.

    Args:
        study: a checked config.
        config: as it was written, for what the report's jobs are known by; the study's own content if not given. What
            it leaves out and captions read is added.
        reading: whether files from outside are read, so that jobs are known by what they hold; what only asks which
            jobs there are need not.
    """

    def __init__(self, study: Study, config: Mapping[str, Any] | None = None, reading: bool = True) -> None:
        self.study = study
        self.paths = Paths(study.study)
        given = filled_in(study, config) if config else study.model_dump(mode="json")
        self.config: dict[str, Any] = json.loads(json.dumps(given, default=str))
        self.reading = reading
        self.fingerprints = Fingerprints(OUTSIDE)
        self.cells = cells(study)
        self._jobs: dict[tuple[str, tuple[tuple[str, str], ...]], Job] = {}

    # What comes from outside.

    @cached_property
    def archives(self) -> dict[str, Archive]:
        """Archives by their keys, the built-in ones that sources name included."""
        return self.study.every_archive

    @cached_property
    def read_archives(self) -> dict[str, Archive]:
        """Those of them that jobs read, by their keys."""
        sources = self.study.sources
        named = {source.archive_key for key, source in sources.items() if key != WORDNET_KEY or self.reads_wordnet}
        return {key: archive for key, archive in self.archives.items() if key in named}

    @property
    def defaults(self) -> str:
        """A sentence that says which parts of the study are defaults; empty where the config has them all."""
        built_in = [archive for key, archive in self.read_archives.items() if key not in self.study.archives]
        return default_sentence(self.study, built_in)

    @cached_property
    def reads_wordnet(self) -> bool:
        """Whether a metric of the study reads WordNet."""
        languages = {domain.language for domain in self.study.domains.values()}
        metrics = [find_metric(name) for name in self.study.evaluation.metrics]
        return any(metric.needs_wordnet(language) for metric in metrics for language in languages)

    def outside(self, *sources: Source, files: Iterable[Path | str] = ()) -> Outside:
        """Return what is read of the given sources of the config, and of further files of the user's own.

        Raises:
            GradsError: a file is not there or cannot be read.
        """
        archives = sorted({source.archive_key for source in sources if source.archive_key})
        fetched = {name: archive_path(self.archives[name].file) for name in archives}
        own = [file for source in sources for file in source_files(source)]
        known = contents([*own, *files], self.fingerprints) if self.reading else {}
        known |= archive_contents(fetched, self.archives)
        network = [hub_path(source) for source in sources if source.fetched]
        return Outside(fetched, watched([*own, *files]), network, known)

    def fetch_archive(self, file: str) -> FetchArchive:
        """Return the job that downloads an archive, by its file's name."""
        archive = next(one for one in self.archives.values() if one.file == file)
        return FetchArchive(archive=archive, file=archive_path(file), log=Path("logs/fetch_archive") / f"{file}.log")

    @cached_property
    def _fetched_models(self) -> dict[Path, Source]:
        """The sources of models and encoders that are fetched from the network, each by where it lies then."""
        models = [model.source for model in self.study.every_model.values()]
        return _by_path([*models, *(encoder.source for encoder in self.study.encoders.values())])

    @cached_property
    def _fetched_records(self) -> dict[Path, Source]:
        """The same of the sources of domains, of skills, and of general instructions."""
        instructions = self.study.general.instructions
        sources = [domain.source for domain in self.study.domains.values()]
        sources += [skill.source for skill in self.study.skills.values()]
        return _by_path([*sources, *([instructions.source] if instructions else [])])

    @cached_property
    def _fetched_tasks(self) -> dict[Path, Source]:
        """The same of general benchmarks."""
        return _by_path(task.data for task in self.study.general.tasks.values())

    def prefetch_model(self, origin: str, repository: str) -> FetchModel:
        """Return the job that fetches a model, by the kind of its source and its folder's name."""
        folder = RESOURCES / origin / "models" / repository
        source = self._fetched_models[folder]
        return FetchModel(source=source, folder=folder, log=_prefetch_log(origin, "models", repository))

    def prefetch_data(self, origin: str, repository: str) -> FetchData:
        """Return the job that fetches records, by the kind of their source and their file's stem."""
        records = RESOURCES / origin / "datasets" / f"{repository}.parquet"
        return FetchData(
            source=self._fetched_records[records],
            records=records,
            commit=records.with_suffix(".json"),
            log=_prefetch_log(origin, "datasets", repository),
        )

    def prefetch_task(self, benchmark: str) -> FetchTask:
        """Return the job that fetches a benchmark's data from the hub, by its folder's name."""
        folder = RESOURCES / "hub" / "tasks" / benchmark
        return FetchTask(
            source=self._fetched_tasks[folder],
            allow_code=self.study.general.allow_code,
            folder=folder,
            log=_prefetch_log("hub", "tasks", benchmark),
        )

    def install_wordnet(self) -> InstallWordnet:
        """Return the job that unpacks WordNet."""
        source = self.study.evaluation.wordnet
        assert source is not None
        read = self.outside(source)
        (archive,) = read.archives.values()
        return InstallWordnet(
            archive=archive,
            member=source.member,
            folder=WORDNET,
            contents=read.contents,
            log=Path("logs/install_wordnet.log"),
        )

    # Data and models.

    @cached_property
    def general_items(self) -> list[Path]:
        """The items of all general benchmarks, and the general text."""
        return [self.paths.general(f"{name}.jsonl") for name in [*self.study.general.tasks, "text"]]

    @cached_property
    def drawn_instructions(self) -> list[Path]:
        """General instructions, where the study has some: the anchor, and what is replayed."""
        names = ("anchor", "replay") if self.study.general.instructions else ()
        return [self.paths.general(f"{name}.parquet") for name in names]

    def prepare_domains(self) -> PrepareDomains:
        """Return the job that reads and splits the records of all domains."""
        study = self.study
        paths = self.paths
        read = self.outside(*(domain.source for domain in study.domains.values()))
        return PrepareDomains(
            log=paths.log("prepare_domains"),
            archives=read.archives,
            files=read.files,
            fetched=read.fetched,
            general=self.general_items if study.overlap != "report" else [],
            domains={name: _record_settings(domain) for name, domain in study.domains.items()},
            splits=study.splits,
            overlap=study.overlap,
            records=[paths.records(domain, split) for domain in study.domains for split in SPLITS],
            counts=[paths.root / "data" / domain / "counts.json" for domain in study.domains],
            contents=read.contents,
        )

    def overlap(self) -> ReportOverlap:
        """Return the job that says what splits and general items share."""
        paths = self.paths
        return ReportOverlap(
            log=paths.log("overlap"),
            records={name: {split: paths.records(name, split) for split in SPLITS} for name in self.study.domains},
            general=self.general_items,
            instructions=self.drawn_instructions,
            overlap=self.study.overlap,
            summary=paths.overlap,
            page=paths.overlap.with_suffix(".md"),
        )

    def prepare_general(self) -> PrepareGeneral:
        """Return the job that draws what measures forgetting."""
        general = self.study.general
        paths = self.paths
        read = self.outside(*(task.data for task in general.tasks.values()), general.text.source)
        named = {file for task in general.tasks.values() if task.file for file in task_files(task.file)}
        tasks = self.outside(files=sorted(named))
        return PrepareGeneral(
            log=paths.log("prepare_general"),
            archives=read.archives,
            files=read.files,
            fetched=read.fetched,
            task_files=tasks.files,
            general=item_settings(general),
            study_general=general,
            samples=[paths.general(f"{task}.jsonl") for task in general.tasks],
            tasks=[paths.general(f"{name}.yaml") for name, task in general.tasks.items() if task.yaml],
            text=paths.general("text.jsonl"),
            counts=paths.general("counts.json"),
            contents=read.contents | tasks.contents,
        )

    def prepare_instructions(self) -> PrepareInstructions:
        """Return the job that draws general instructions."""
        instructions = self.study.general.instructions
        assert instructions is not None
        read = self.outside(instructions.source)
        return PrepareInstructions(
            log=self.paths.log("prepare_instructions"),
            archives=read.archives,
            files=read.files,
            fetched=read.fetched,
            tests=[self.paths.records(domain, "test") for domain in self.study.domains],
            general=self.general_items,
            instructions=instructions,
            seed=self.study.general.seed,
            drawn=self.drawn_instructions,
            counts=self.paths.general("instructions.json"),
            contents=read.contents,
        )

    def prepare_model(self, model: str) -> PrepareModel:
        """Return the job that makes a model ready which is taught nothing before."""
        return PrepareModel(log=self.paths.log("prepare_model", model), **self._prepared(model))

    def teach_model(self, model: str) -> TeachModel:
        """Return the job that makes a model ready and teaches it a skill."""
        skill = self.study.skills[model]
        read = self.outside(skill.source)
        prepared = self._prepared(model)
        return TeachModel(
            **prepared | {"contents": prepared["contents"] | read.contents},
            log=self.paths.log("teach_model", model),
            taught=skill,
            archives=read.archives,
            records=read.files,
            fetched_records=read.fetched,
            form=self.study.every_model[model].format,
            computing=self.study.training.model_dump(mode="json", include={"precision", "engine", "checkpointing"}),
            initialisation_seed=derive_seed(skill.seed, model, "taught", "initialisation"),
            order_seed=derive_seed(skill.seed, model, "taught", "order"),
            label=f"teach {model}",
            scratch=self.paths.scratch("teach") / model,
        )

    def _prepared(self, model: str) -> dict[str, Any]:
        """Return what making a model ready takes."""
        source = self.study.every_model[model].source
        read = self.outside(source)
        return {
            "source": source,
            "archive": next(iter(read.archives.values()), None),
            "files": read.files,
            "fetched": next(iter(read.fetched), None),
            "folder": self.paths.model(model),
            "contents": read.contents,
        }

    def prepare_encoder(self, encoder: str) -> PrepareEncoder:
        """Return the job that makes a sentence encoder ready."""
        source = self.study.encoders[encoder].source
        read = self.outside(source)
        return PrepareEncoder(
            log=self.paths.log("prepare_encoder", encoder),
            source=source,
            archive=next(iter(read.archives.values()), None),
            files=read.files,
            fetched=next(iter(read.fetched), None),
            folder=self.paths.encoder(encoder),
            contents=read.contents,
        )

    # Signals.

    @cached_property
    def _limits(self) -> dict[str, Any]:
        """What says how long a record may be."""
        return self.study.training.model_dump(mode="json", include={"max_length", "over_length"})

    def probe_tokens(self, model: str, domain: str) -> ProbeTokens:
        """Return the job that counts the tokens of a domain's records."""
        paths = self.paths
        return ProbeTokens(
            log=paths.log("probe_tokens", model, domain),
            model=paths.model(model),
            records=paths.records(domain, "train"),
            held_out={split: paths.records(domain, split) for split in ("validation", "test")},
            form=self.study.every_model[model].format,
            limits=self._limits,
            answer_tokens=self.study.generation.max_new_tokens,
            label=f"{model}/{domain}",
            store=paths.store(model, domain, TOKENS),
        )

    def probe_base(self, model: str, domain: str, other: str = "", shard: str | None = None) -> ProbeModel:
        """Return the job that measures the untrained weights: of training records, or of others."""
        held = measures(self.study, f"base{other}", model)
        # All seeds share this pass, so the adapter whose gradients it may take is that of the first.
        adapted = bool((FEATURES | {"adapter"}) & set(held))
        seed = derive_seed(self.study.seeds[0], model, domain, "initialisation")
        shape = self.study.training.model_dump(mode="json", include={"weights", "adapter"}) if adapted else {}
        return self._probe(
            model,
            domain,
            f"base{other}",
            f"base{other}",
            shard,
            point="base",
            limits=self._limits | shape,
            adapter_seed=seed if adapted else None,
            label=f"probe base{other} {model}/{domain}",
        )

    def probe_warm(self, model: str, domain: str, seed: str, other: str = "", shard: str | None = None) -> ProbeModel:
        """Return the job that measures the weights after the preliminary epoch."""
        epoch = self.paths.run(warm_cell(model, domain, int(seed)))
        return self._probe(
            model,
            domain,
            f"warm{other}",
            f"warm-{seed}{other}",
            shard,
            point="warm",
            limits=self._limits,
            trained=epoch / "adapter",
            moments=epoch / "moments.safetensors" if needs_moments(self.study) else None,
            label=f"probe warm{other} {model}/{domain}/{seed}",
        )

    def _probe(self, model: str, domain: str, store: str, folder: str, shard: str | None, **more: Any) -> ProbeModel:
        whole = shard is None
        part = folder if whole else f"{folder}.{shard}"
        return ProbeModel(
            log=self.paths.log(f"probe_{store_point(store)[0]}", model, domain, part),
            model=self.paths.model(model),
            records=self._measured_records(domain, store),
            measures=measures(self.study, store, model),
            form=self.study.every_model[model].format,
            probe=self._probe_settings(store, model),
            shard=0 if shard is None else int(shard),
            shards=1 if whole else self.study.probe.shards,
            scratch=self.paths.scratch("probe") / model / domain / part,
            store=(
                self.paths.store(model, domain, folder)
                if shard is None
                else self.paths.shard(model, domain, folder, shard)
            ),
            **more,
        )

    def _measured_records(self, domain: str, store: str) -> Path:
        """Return the file of the records that a store is of."""
        kind = store_point(store)[2]
        return self.paths.general("anchor.parquet") if kind == ANCHOR else self.paths.records(domain, kind)

    def _probe_settings(self, store: str, model: str) -> dict[str, Any]:
        """Return the probe's settings, those of features only where an arm asks the store for some."""
        featured = FEATURES & set(measures(self.study, store, model))
        unread = UNREAD if featured else UNREAD | {"features"}
        return self.study.probe.model_dump(mode="json", exclude=unread)

    def probe_shards(self, model: str, domain: str, store: str) -> JoinShards:
        """Return the job that joins the shards of a store."""
        shards = [self.paths.shard(model, domain, store, str(shard)) for shard in range(self.study.probe.shards)]
        log = self.paths.log("probe_shards", model, domain, store)
        return JoinShards(shards=shards, store=self.paths.store(model, domain, store), log=log)

    def probe_encoder(self, model: str, domain: str, encoder: str, other: str = "") -> ProbeEncoder:
        """Return the job that embeds records by a sentence encoder: training records, or others."""
        store = f"{encoder_store(encoder)}{other}"
        return ProbeEncoder(
            log=self.paths.log("probe_encoder", model, domain, store),
            encoder=self.paths.encoder(encoder),
            records=self._measured_records(domain, store),
            model=self.paths.model(model),
            form=self.study.every_model[model].format,
            limits=self._limits,
            probe=self.study.probe.model_dump(mode="json", include={"precision"}),
            label=f"probe {encoder}{other} {model}/{domain}",
            store=self.paths.store(model, domain, store),
        )

    def rewrite(self, model: str, domain: str) -> Rewrite:
        """Return the job that has a model answer a domain's training records in its own words."""
        return Rewrite(
            model=self.paths.model(model),
            records=self.paths.records(domain, "train"),
            form=self.study.every_model[model].format,
            limits=self._limits,
            max_new_tokens=self.study.generation.max_new_tokens,
            evaluation=self.study.evaluation.model_dump(mode="json", include=SHAPING),
            label=f"own answers {model}/{domain}",
            log=self.paths.log("rewrite", model, domain),
            answers=self.paths.store(model, domain, REWRITTEN),
        )

    # Selection and training.

    def select(self, model: str, domain: str, arm: str, ratio: str, seed: str) -> Select:
        """Return the job that selects a cell's records."""
        study = self.study
        paths = self.paths
        cell = _cell(model, domain, arm, ratio, seed)
        declared = study.arms[arm]
        needs = arm_needs(study, arm)
        models = {name: scorer_of(study, arm, name) or model for name in [TOKENS, *sorted(needs.stores)]}
        files = self.outside(files=needs.files)
        return Select(
            log=paths.log("select", cell),
            method=declared.method,
            parameters=declared.parameters,
            ratio=ratio,
            seed=self._seed(cell, "selection"),
            stores={name: paths.store(of, domain, store_folder(name, cell.seed)) for name, of in models.items()},
            scorer=paths.store(declared.scorer, domain, TOKENS) if declared.scorer else None,
            texts={split: paths.records(domain, split) for split in sorted(needs.texts)},
            references={other: paths.selection(replace(cell, arm=other)) for other in references(study, arm, ratio)},
            records=paths.records(domain, "train"),
            files=files.files,
            selection=paths.selection(cell),
            summary=paths.selection(cell).with_suffix(".json"),
            contents=files.contents,
        )

    def train(self, model: str, domain: str, arm: str, ratio: str, seed: str) -> Train:
        """Return the job that trains a cell."""
        study = self.study
        paths = self.paths
        cell = _cell(model, domain, arm, ratio, seed)
        declared = study.arms[arm]
        needs = strategy_needs(study, arm)
        epoch = paths.run(warm_cell(model, domain, cell.seed))
        source = None if needs.run is None else paths.run(replace(cell, arm=needs.run))
        return Train(
            selection=paths.selection(cell),
            counts=paths.selection(cell).with_suffix(".json"),
            own_answers=paths.store(model, domain, REWRITTEN) if needs.own_answers else None,
            run_trained=source and source / "adapter",
            run_summary=source and source / "training.json",
            start=epoch / "adapter" if declared.start == WARM else None,
            stores={name: paths.store(model, domain, store_folder(name, cell.seed)) for name in sorted(needs.stores)},
            replay=paths.general("replay.parquet") if needs.replay or needs.fisher else None,
            test=paths.records(domain, "test") if needs.test_prompts else None,
            strategy=declared.strategy,
            strategy_parameters=declared.strategy_parameters,
            match=declared.match,
            training=study.training.model_dump(mode="json"),
            own=declared.training.given,
            equal_steps=arm_method(study, arm).equal_steps,
            label=f"train {cell}",
            **self._run(cell),
        )

    def train_warm(self, model: str, domain: str, seed: str) -> PreliminaryEpoch:
        """Return the job of the preliminary epoch that all arms of a model, domain and seed share."""
        cell = warm_cell(model, domain, int(seed))
        return PreliminaryEpoch(
            training=self._epoch,
            epochs=1,
            measures=measures(self.study, WARM, model),
            probe=self.study.probe,
            label=f"preliminary epoch {model}/{domain}/{seed}",
            moments=self.paths.run(cell) / "moments.safetensors" if needs_moments(self.study) else None,
            **self._run(cell),
        )

    def train_during(self, model: str, domain: str, seed: str) -> GradientsDuring:
        """Return the job that takes gradients during the preliminary epoch."""
        return GradientsDuring(
            training=self._epoch,
            epochs=1,
            measures=measures(self.study, DURING, model),
            probe=self._probe_settings(DURING, model),
            label=f"gradients during {model}/{domain}/{seed}",
            store=self.paths.store(model, domain, f"during-{seed}"),
            **self._run(replace(warm_cell(model, domain, int(seed)), arm=DURING)),
        )

    def train_trajectory(self, model: str, domain: str, seed: str) -> Trajectory:
        """Return the job that takes the losses of all records at the checkpoints of a run."""
        return Trajectory(
            training=self._epoch,
            epochs=self.study.probe.trajectory.epochs,
            probe=self.study.probe.model_dump(mode="json", include={"trajectory", "nonfinite"}),
            label=f"trajectory {model}/{domain}/{seed}",
            store=self.paths.store(model, domain, f"trajectory-{seed}"),
            **self._run(replace(warm_cell(model, domain, int(seed)), arm=TRAJECTORY)),
        )

    def train_warmup(self, model: str, domain: str, seed: str) -> Warmup:
        """Return the job that takes gradients at the checkpoints of a warm-up on a part of the records."""
        kept = {"warmup", "features", "hidden_layer", "nonfinite"}
        return Warmup(
            training=self._epoch,
            epochs=self.study.probe.warmup.epochs,
            probe=self.study.probe.model_dump(mode="json", include=kept),
            tokens=self.paths.store(model, domain, TOKENS),
            validation=self.paths.records(domain, VALIDATION),
            label=f"warm-up {model}/{domain}/{seed}",
            store=self.paths.store(model, domain, f"warmup-{seed}"),
            targets=self.paths.store(model, domain, f"warmup-{seed}-{VALIDATION}"),
            **self._run(replace(warm_cell(model, domain, int(seed)), arm=WARMUP)),
        )

    @cached_property
    def _epoch(self) -> dict[str, Any]:
        """The settings of runs that are no arm's, which have as many epochs as their jobs say."""
        return self.study.training.model_dump(mode="json", exclude={"epochs"})

    def _run(self, cell: Cell) -> dict[str, Any]:
        """Return what all training runs have in common."""
        run = self.paths.run(cell)
        return {
            "model": self.paths.model(cell.model),
            "records": self.paths.records(cell.domain, "train"),
            "form": self.study.every_model[cell.model].format,
            "base": self._base(cell.model),
            "initialisation_seed": self._seed(cell, "initialisation"),
            "order_seed": self._seed(cell, "order"),
            "log": self.paths.log("train", cell),
            "scratch": self.paths.scratch("train") / str(cell),
            "curves": run / "tensorboard" if self.study.training.tensorboard else None,
            "trained": run / "adapter",
            "summary": run / "training.json",
        }

    def _base(self, model: str) -> dict[str, str | None]:
        """Return what an adapter names as its model: the source in the config, or the prepared folder.

        A path stays as it is written there, so that equal studies in two places write equal adapters. A taught model is
        in no source.
        """
        identity = None if model in self.study.skills else self.study.every_model[model].source.identity
        return identity or {"name": str(self.paths.model(model))}

    def _seed(self, cell: Cell, purpose: str) -> int:
        return derive_seed(cell.seed, cell.model, cell.domain, purpose)

    # Evaluation.

    def evaluate(self, model: str, domain: str, arm: str, ratio: str, seed: str) -> Evaluate:
        """Return the job that evaluates a trained cell."""
        cell = _cell(model, domain, arm, ratio, seed)
        run = self.paths.run(cell)
        return Evaluate(
            trained=run / "adapter",
            log=self.paths.log("evaluate", cell),
            tests=[self.paths.records(domain, "test")],
            label=f"evaluate {cell}",
            finished=self.paths.scratch("evaluate") / str(cell),
            predictions=[run / "predictions.jsonl"],
            general=run / "general.json",
            documents=documents_path(run / "general.json"),
            **self._general_part,
            **self._evaluation(model),
        )

    def evaluate_cross(self, model: str, domain: str, arm: str, ratio: str, seed: str) -> Evaluate:
        """Return the job that has a trained cell answer the tests of the other domains."""
        cell = _cell(model, domain, arm, ratio, seed)
        return Evaluate(
            trained=self.paths.run(cell) / "adapter",
            log=self.paths.log("evaluate_cross", cell),
            tests=[self.paths.records(other, "test") for other in cross_domains(self.study, domain)],
            label=f"evaluate {cell} on other domains",
            finished=self.paths.scratch("evaluate") / str(cell),
            cross=self.paths.cross_predictions(cell),
            **self._evaluation(model),
        )

    def evaluate_untuned(self, model: str) -> Evaluate:
        """Return the job that evaluates an untuned model on all domains; its general part is measured once."""
        runs = [self.paths.run(Cell(model, domain, UNTUNED, "0", 0)) for domain in self.study.domains]
        general = self.paths.untuned_general(model)
        return Evaluate(
            log=self.paths.log("evaluate", f"{model}-{UNTUNED}"),
            tests=[self.paths.records(domain, "test") for domain in self.study.domains],
            label=f"evaluate {model}/{UNTUNED}",
            finished=self.paths.scratch("evaluate") / f"{model}-{UNTUNED}",
            predictions=[run / "predictions.jsonl" for run in runs],
            general=general,
            documents=documents_path(general),
            **self._general_part,
            **self._evaluation(model),
        )

    @cached_property
    def _general_part(self) -> dict[str, Any]:
        tasks = self.study.general.tasks
        return {
            "samples": [self.paths.general(f"{name}.jsonl") for name in tasks],
            "task_files": [
                self.paths.general(f"{name}.yaml") if task.yaml else hub_path(task.data) for name, task in tasks.items()
            ],
            "text": self.paths.general("text.jsonl"),
            "tasks": {name: task_settings(self.study.general, task) for name, task in tasks.items()},
        }

    def _evaluation(self, model: str) -> dict[str, Any]:
        """Return what all evaluations of a model have in common."""
        study = self.study
        return {
            "model": self.paths.model(model),
            "text_tokens": study.general.text.max_tokens,
            "max_length": study.training.max_length,
            "form": study.every_model[model].format,
            "generation": study.generation,
            "evaluation": study.evaluation.model_dump(mode="json", include=SHAPING),
        }

    def metrics(self, model: str, domain: str, arm: str, ratio: str, seed: str) -> Metrics:
        """Return the job that measures a cell's answers."""
        cell = _cell(model, domain, arm, ratio, seed)
        run = self.paths.run(cell)
        return Metrics(
            predictions=run / "predictions.jsonl",
            file=run / "metrics.json",
            log=self.paths.log("metrics", cell),
            **self._measured(domain),
        )

    def metrics_cross(self, model: str, domain: str, arm: str, ratio: str, seed: str, target: str) -> Metrics:
        """Return the job that measures a cell's answers to the test of another domain."""
        cell = _cell(model, domain, arm, ratio, seed)
        return Metrics(
            predictions=self.paths.cross_predictions(cell),
            target=target,
            file=self.paths.cross(cell, target),
            log=self.paths.log("metrics_cross", f"{cell}-{target}"),
            **self._measured(target),
        )

    def _measured(self, domain: str) -> dict[str, Any]:
        names = self.study.evaluation.metrics
        language = self.study.domains[domain].language
        wordnet = WORDNET if any(find_metric(name).needs_wordnet(language) for name in names) else None
        return {"metrics": computed(names), "language": language, "wordnet": wordnet}

    def judgements(self) -> Judge:
        """Return the job that checks what others say of the answers."""
        judged = self.study.evaluation.judged
        assert judged is not None
        read = self.outside(files=own_files(judged.path))
        return Judge(
            log=self.paths.log("judgements"),
            predictions={str(cell): self.paths.run(cell) / "predictions.jsonl" for cell in self.cells},
            files=read.files,
            scale=judged,
            folder=self.paths.judgements,
            contents=read.contents,
        )

    # The report.

    @cached_property
    def stores(self) -> dict[str, list[str]]:
        """Of each arm, the signal stores that its selection and its training need."""
        return {arm: arm_stores(self.study, arm) for arm in self.study.arms}

    @cached_property
    def reads(self) -> dict[str, dict[str, list[str]]]:
        """Of each arm, the signal stores that its method itself reads, and which columns of them."""
        needs = {arm: arm_needs(self.study, arm).stores for arm in self.study.arms}
        return {
            arm: {store: list(columns(held)) for store, held in sorted(stores.items())} for arm, stores in needs.items()
        }

    @cached_property
    def cell_files(self) -> list[CellFiles]:
        """What each cell leaves."""
        return cell_files(self.study, self.stores)

    @cached_property
    def selection_files(self) -> list[SelectionFiles]:
        """Each selection, and what it was made from."""
        return selection_files(self.study, self.reads)

    def _report(self, rule: str) -> dict[str, Any]:
        """Return what the report's jobs have in common."""
        escaped = json.dumps(self.config).replace("<", "\\u003c")
        return {"study": self.config, "config": escaped, "log": self.paths.log(rule)}

    def _claims(self) -> Outside:
        return self.outside(files=[located(self.study.claims)] if isinstance(self.study.claims, str) else [])

    def _tables(self, tables: Iterable[TableItem]) -> list[Path]:
        return [self.paths.root / "tables" / f"{one.name}{suffix}" for one in tables for suffix in one.suffixes]

    def _pages(self, tables: Iterable[TableItem]) -> list[Path]:
        return [self.paths.root / "tables" / f"{one.name}.html" for one in tables]

    def _figures(self, figures: Iterable[Item], suffix: str) -> list[Path]:
        return [self.paths.root / "figures" / f"{one.name}{suffix}" for one in figures]

    def measurements(self) -> Measurements:
        """Return the job that collects the long table."""
        files = [path for one in self.cell_files for path in listed(one)]
        table = self.paths.root / "measurements.parquet"
        return Measurements(**self._report("measurements"), files=_once(files), stores=self.stores, table=table)

    def tables(self) -> Tables:
        """Return the job that makes tables and figures of the long table."""
        tables = measured_tables(self.study)
        figures = measured_figures(self.study)
        claims = self._claims()
        seal = self.outside(files=[self.paths.seal] if self.paths.seal.is_file() else [])
        return Tables(
            **self._report("tables"),
            measurements=self.paths.root / "measurements.parquet",
            claims=claims.files,
            seal=seal.files,
            tables=self._tables(tables),
            pages=self._pages(tables),
            figures=self._figures(figures, ".svg"),
            prints=self._figures(figures, ".pdf"),
            declared=modules_of([*tables, *figures]),
            contents=claims.contents | seal.contents,
        )

    def curves(self) -> Curves:
        """Return the job that draws how training went."""
        figures = training_figures()
        return Curves(
            **self._report("curves"),
            summaries=[self.paths.run(cell) / "training.json" for cell in self.cells if cell.trained],
            stores=self.stores,
            figures=self._figures(figures, ".svg"),
            prints=self._figures(figures, ".pdf"),
            declared=modules_of(figures),
        )

    def selection_tables(self) -> SelectionTables:
        """Return the job that makes tables and figures of what was selected."""
        tables = selection_tables()
        figures = selection_figures(self.selection_files)
        return SelectionTables(
            **self._report("selection_tables"),
            files=_once(path for files in self.selection_files for path in files.paths),
            reads=self.reads,
            tables=self._tables(tables),
            pages=self._pages(tables),
            figures=self._figures(figures, ".svg"),
            prints=self._figures(figures, ".pdf"),
            declared=modules_of([*tables, *figures]),
        )

    def pages(self) -> Pages:
        """Return the job that writes the pages of the report."""
        claims = self._claims()
        folder = self.paths.root / "pages"
        return Pages(
            **self._report("pages"),
            measurements=self.paths.root / "measurements.parquet",
            files=_once(path for domain in self.study.domains for path in answer_files(self.study, domain).paths),
            claims=claims.files,
            overview=folder / "index.html",
            pages=[folder / f"{name}.html" for name in self.study.domains],
            provenance=folder / "provenance.html",
            declared=modules_of(measured_figures(self.study)),
            contents=claims.contents,
        )

    def partial(self) -> Partial:
        """Return the job that makes tables over what there is so far."""
        folder = self.paths.root / "partial"
        return Partial(**self._report("partial"), stores=self.stores, reads=self.reads, folder=folder)

    # The graph as a whole.

    def job(self, rule: str, wildcards: Mapping[str, str]) -> Job:
        """Return the job of a rule and its wildcards; it is made once."""
        key = (rule, tuple(sorted(wildcards.items())))
        if key not in self._jobs:
            make: Callable[..., Job] = getattr(self, rule)
            self._jobs[key] = make(**wildcards)
        return self._jobs[key]

    @staticmethod
    def kind(rule: str) -> type[Job]:
        """Return which kind of jobs a rule has."""
        found: type[Job] = get_type_hints(getattr(StudyGraph, rule))["return"]
        return found

    def calls(self) -> list[tuple[str, dict[str, str]]]:
        """Return every job of the study as its rule and what the rule's wildcards stand for."""
        of_study = {id(job): None for job in self.jobs()}
        made = {id(job): key for key, job in self._jobs.items()}
        return [(made[number][0], dict(made[number][1])) for number in of_study]

    def maker_of(self, path: Path) -> Job | None:
        """Return the job that makes a file or folder; none where it comes from outside."""
        return self._makers.get(path)

    @cached_property
    def _makers(self) -> dict[Path, Job]:
        return {path: job for job in self.jobs() for path in job.outputs}

    def in_order(self) -> list[Job]:
        """Return every job of the study, each after those that it reads from."""
        return in_order(self.jobs(), self.maker_of)

    def on_the_way(self, cell: Cell) -> list[Job]:
        """Return the jobs on the way to a cell, each after those that it reads from, what it is finished with last."""
        return in_order(self.last(cell), self.maker_of)

    def last(self, cell: Cell) -> list[Job]:
        """Return the jobs that a cell is finished with: its metrics, on its own domain and on others."""
        named = {name: str(getattr(cell, name)) for name in ("model", "domain", "arm", "ratio", "seed")}
        targets = cross_domains(self.study, cell.domain) if cell.trained else []
        crossed = [self.job("metrics_cross", {**named, "target": target}) for target in targets]
        return [self.job("metrics", named), *crossed]

    def jobs(self) -> Iterator[Job]:
        """Yield every job of the study, those of the report the last."""
        study = self.study
        for file in dict.fromkeys(archive.file for archive in self.read_archives.values()):
            yield self.job("fetch_archive", {"file": file})
        if self.reads_wordnet:
            yield self.job("install_wordnet", {})
        yield from self._fetch_jobs()
        yield from (self.job(rule, {}) for rule in ("prepare_general", "prepare_domains", "overlap"))
        if study.general.instructions:
            yield self.job("prepare_instructions", {})
        yield from (self.job("prepare_encoder", {"encoder": encoder}) for encoder in study.encoders)
        for model in study.used_models:
            yield self.job("teach_model" if model in study.skills else "prepare_model", {"model": model})
            for domain in study.domains:
                yield from self._signal_jobs(model, domain)
        for model in study.models:
            if any(cell.model == model and not cell.trained for cell in self.cells):
                yield self.job("evaluate_untuned", {"model": model})
        for cell in self.cells:
            yield from self._cell_jobs(cell)
        if study.evaluation.judged:
            yield self.job("judgements", {})
        yield from (self.job(rule, {}) for rule in ("measurements", "tables", "curves", "selection_tables", "pages"))

    def _fetch_jobs(self) -> Iterator[Job]:
        for path in sorted(self._fetched_models):
            yield self.job("prefetch_model", {"origin": path.parent.parent.name, "repository": path.name})
        for path in sorted(self._fetched_records):
            yield self.job("prefetch_data", {"origin": path.parent.parent.name, "repository": path.stem})
        for path in sorted(self._fetched_tasks):
            yield self.job("prefetch_task", {"benchmark": path.name})

    def _signal_jobs(self, model: str, domain: str) -> Iterator[Job]:
        named = {"model": model, "domain": domain}
        yield self.job("probe_tokens", named)
        stores = model_stores(self.study, model)
        points = {store_point(store)[0] for store in stores}
        starts = model in self.study.models and any(arm.start == WARM for arm in self.study.arms.values())
        for seed in map(str, self.study.seeds):
            if WARM in points or starts:
                yield self.job("train_warm", {**named, "seed": seed})
            for point in (DURING, TRAJECTORY, WARMUP):
                if point in points:
                    yield self.job(f"train_{point}", {**named, "seed": seed})
        for store in stores:
            yield from self._store_jobs(named, store)

    def _store_jobs(self, named: dict[str, str], store: str) -> Iterator[Job]:
        """Yield the jobs that measure a store, and join its shards."""
        point, encoder, _records = store_point(store)
        if encoder is not None:
            other = store.removeprefix(encoder_store(encoder))
            yield self.job("probe_encoder", {**named, "encoder": encoder, "other": other})
        if point == REWRITTEN:
            yield self.job("rewrite", named)
        if point not in ("base", WARM):
            return
        other = store.removeprefix(point)
        shards = self.study.probe.shards
        for seed in self.study.seeds if point in BY_SEED else [None]:
            wildcards = {**named, **({} if seed is None else {"seed": str(seed)}), "other": other}
            if shards == 1:
                yield self.job(f"probe_{point}", wildcards)
                continue
            for shard in range(shards):
                yield self.job(f"probe_{point}", {**wildcards, "shard": str(shard)})
            yield self.job("probe_shards", {**named, "store": store_folder(store, seed or 0)})

    def _cell_jobs(self, cell: Cell) -> Iterator[Job]:
        named = {name: str(getattr(cell, name)) for name in ("model", "domain", "arm", "ratio", "seed")}
        if cell.trained:
            yield from (self.job(rule, named) for rule in ("select", "train", "evaluate"))
        yield self.job("metrics", named)
        others = cross_domains(self.study, cell.domain) if cell.trained else []
        if others:
            yield self.job("evaluate_cross", named)
        yield from (self.job("metrics_cross", {**named, "target": other}) for other in others)


def _cell(model: str, domain: str, arm: str, ratio: str, seed: str) -> Cell:
    return Cell(model, domain, arm, ratio, int(seed))


def _prefetch_log(origin: str, what: str, name: str) -> Path:
    return Path("logs/prefetch") / origin / what / f"{name}.log"


def _by_path(sources: Iterable[Source]) -> dict[Path, Source]:
    """Return those that are fetched from the network, each by where it lies then."""
    return {hub_path(source): source for source in sources if source.fetched}


def _record_settings(domain: Domain) -> dict[str, Any]:
    """Return what shapes a domain's records; its title does where prompts are made with it."""
    unread = {"language"} if RECORDS.find(domain.source.kind).titled else {"language", "title"}
    return domain.model_dump(mode="json", exclude=unread)


def item_settings(general: General) -> dict[str, Any]:
    """Return what shapes the items that measure forgetting, and not how they are asked, called or judged."""
    unread = {"title", "chance", "metric", "form"}
    tasks = {name: task.model_dump(mode="json", exclude=unread) for name, task in general.tasks.items()}
    text = general.text.model_dump(mode="json", exclude={"max_tokens"})
    return {"tasks": tasks, "text": text, "seed": general.seed}


def task_settings(general: General, task: Task) -> dict[str, Any]:
    """Return what running a task takes; a benchmark that lm-eval knows by name draws few-shot examples, say."""
    asked = task.model_dump(mode="json", include={"metric", "form", "group"})
    if task.yaml:
        # Of the templates and the Python in a task file.
        return asked | ({"allow_code": True} if general.allow_code else {})
    return asked | {"few_shot": task.few_shot, "seed": general.seed, "allow_code": general.allow_code}


def _once(paths: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(paths))
