"""The jobs that measure signals of weights that do not change meanwhile."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.training import Training
from grads.runtime.runner import Machine
from grads.signals.measures.registry import signal_modules
from grads.study.job import Aside, Job, Made, Read


class ProbeTokens(Job):
    """Counts the tokens of training records, which says which of them are eligible, and looks at the others.

    Attributes:
        model: the prepared model, or its tokenizer and config alone.
        records: training records.
        held_out: the domain's other records, by split.
        form: how records become prompts.
        limits: the keys of `training` that say how long a record may be.
        answer_tokens: most tokens of an answer to a test prompt.
        label: opens the progress lines.
        store: the signal store.
    """

    rule = "probe_tokens"
    modules = ("grads.probing.run",)

    model: Read[Path]
    records: Read[Path]
    held_out: Read[dict[str, Path]] = {}
    form: Format
    limits: dict[str, Any]
    answer_tokens: Aside[int] = 0
    label: Aside[str]
    store: Made[Path]

    def run(self, machine: Machine) -> None:
        """Count them."""
        from grads.probing.run import Task, probe_tokens

        probe_tokens(
            Task(
                self.model,
                self.records,
                self.form,
                Training.model_validate(self.limits),
                self.store,
                label=self.label,
                held_out=self.held_out,
                answer_tokens=self.answer_tokens,
            )
        )


class ProbeModel(Job):
    """Measures what a model's weights say of each record, all of them or a shard.

    Attributes:
        model: the prepared model.
        records: Parquet file of what is measured.
        trained: at `warm`, the folder of the adapter or weights of the preliminary epoch.
        moments: what its optimiser remembers, where a method measures by that.
        point: `base` or `warm`.
        measures: see `grads.signals.names`.
        adapter_seed: at `base`, makes the adapter whose gradients are measured; none where none are.
        form: how records become prompts.
        limits: the keys of `training` that shape the signals: how long a record may be and, where an adapter is made
            for its gradients, its shape.
        probe: the keys of `probe` that shape the signals.
        shard: which part, from 0.
        shards: of how many.
        label: opens the progress lines.
        scratch: folder of what a stopped probe resumes from.
        store: the signal store, or a shard of it.
    """

    modules = ("grads.probing.run",)
    device = True
    takes = ("token_budget",)

    model: Read[Path]
    records: Read[Path]
    trained: Read[Path | None] = None
    moments: Read[Path | None] = None
    point: Literal["base", "warm"]
    measures: list[str]
    adapter_seed: int | None = None
    form: Format
    limits: dict[str, Any]
    probe: dict[str, Any]
    shard: int = 0
    shards: int = 1
    label: Aside[str]
    scratch: Aside[Path]
    store: Made[Path]

    @property
    def more_modules(self) -> Iterable[str]:
        """Those of the signals that are declared."""
        return signal_modules(self.measures)

    @property
    def rule(self) -> str:  # type: ignore[override]
        """Its rule in the workflow, by the point."""
        return f"probe_{self.point}"

    def run(self, machine: Machine) -> None:
        """Measure them."""
        from grads.probing.run import Task, probe_model

        probe_model(
            Task(
                self.model,
                self.records,
                self.form,
                Training.model_validate(self.limits),
                self.store,
                self.point,
                self.measures,
                Probe.model_validate({**self.probe, "token_budget": machine.token_budget}),
                self.scratch,
                self.label,
                trained=self.trained,
                moments=self.moments,
                adapter_seed=self.adapter_seed or 0,
                shard=(self.shard, self.shards),
            )
        )


class JoinShards(Job):
    """Joins the shards of a probe to one signal store."""

    rule = "probe_shards"
    modules = ("grads.probing.shards",)

    shards: Read[list[Path]]
    store: Made[Path]

    def run(self, machine: Machine) -> None:
        """Join them."""
        from grads.probing.shards import join_shards

        join_shards(self.shards, self.store)


class ProbeEncoder(Job):
    """Embeds the eligible records by a sentence encoder.

    Attributes:
        encoder: the prepared encoder.
        records: Parquet file of what is embedded.
        model: the prepared model that will be trained, or its tokenizer and config alone: it says what is eligible.
        form: how records become its prompts.
        limits: the keys of `training` that say how long a record may be.
        probe: the keys of `probe` that shape the embeddings.
        label: opens the progress lines.
        store: the signal store.
    """

    rule = "probe_encoder"
    modules = ("grads.probing.encoder",)
    device = True
    takes = ("token_budget",)

    encoder: Read[Path]
    records: Read[Path]
    model: Read[Path]
    form: Format
    limits: dict[str, Any]
    probe: dict[str, Any]
    label: Aside[str]
    store: Made[Path]

    def run(self, machine: Machine) -> None:
        """Embed them."""
        from grads.probing.encoder import Readable, probe_encoder

        probe = Probe.model_validate({**self.probe, "token_budget": machine.token_budget})
        readable = Readable(self.records, self.model, self.form, Training.model_validate(self.limits))
        probe_encoder(self.encoder, readable, probe, self.store, self.label)
