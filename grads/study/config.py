"""The config of a study: one Pydantic model, from which the JSON schema and the reference page are made.

Science lives here; machine settings (devices, cores, micro-batch, partitions) live in `profiles/`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from grads.study.claim import Claim
from grads.study.general import General
from grads.study.probe import Probe
from grads.study.publication import Publication
from grads.study.ratios import Ratio
from grads.study.section import LEAVE, LossTurns, Name, Precision, RecordField, Section, Shown, Text
from grads.study.sources import (
    Archive,
    ArchiveSource,
    FileSource,
    GlossarySource,
    HubDataSource,
    HubSource,
    TinySource,
)

Match = Literal["epochs", "steps", "tokens"]
# Arguments of `apply_chat_template` that say what it returns, not what it renders.
OWN_ARGUMENTS = {
    "add_generation_prompt",
    "continue_final_message",
    "conversation",
    "max_length",
    "messages",
    "padding",
    "return_assistant_tokens_mask",
    "return_dict",
    "return_tensors",
    "tokenize",
    "tokenizer_kwargs",
    "truncation",
}
# What every record has as a column of its own in a table of texts, before its metadata.
TEXT_COLUMNS = ("id", "instruction", "input", "output", "source")


class Format(Section):
    """How a record becomes a prompt: the model's chat template, or a plain one where it has none."""

    template: Literal["chat", "plain"] = Field(
        "chat", description="`chat`: the tokenizer's own template. `plain`: instruction, input and answer in blocks."
    )
    system: str | None = Field(
        None,
        description="System prompt for records without one of their own. Left out: no system message is added, and a "
        'template\'s own default stays. `""`: an empty system message. `plain` puts it before the instruction.',
    )
    template_arguments: dict[str, Any] = Field(
        {},
        description="Variables that the chat template reads, such as `{enable_thinking: false}`; `chat_template` names "
        "one of several templates.",
    )

    @model_validator(mode="after")
    def _arguments_are_the_templates(self) -> "Format":
        if self.template == "plain" and self.template_arguments:
            raise ValueError("'template_arguments' are read by chat templates only; take them away")
        for name in sorted(OWN_ARGUMENTS & set(self.template_arguments)):
            raise ValueError(f"'template_arguments' has '{name}', which is not the template's to read; take it away")
        return self


class Model(Section):
    """A model of the study."""

    title: Shown = Field(description="How tables call the model, with its quantisation.")
    source: FileSource | ArchiveSource | HubSource | TinySource = Field(
        discriminator="kind", description="Where it comes from."
    )
    format: Format = Field(Format(), description="How its prompts are written, in training and evaluation alike.")


class Encoder(Section):
    """A sentence encoder, an alternative to the model's own hidden states as content embedding."""

    title: Shown = Field(description="How the encoder is called.")
    source: FileSource | ArchiveSource = Field(discriminator="kind", description="Where it comes from.")


class Domain(Section):
    """A domain of the study: fine-tuning data to learn from and to test on."""

    title: Shown = Field(description="How tables call the domain.")
    source: FileSource | ArchiveSource | HubDataSource | GlossarySource = Field(
        discriminator="kind", description="Where its records come from."
    )
    fields: dict[RecordField, str] = Field({}, description="Our name of a field to the data's own, where they differ.")
    leave: list[str] = Field([], description=LEAVE)
    loss_turns: LossTurns = Field("last", description="Of conversations: whether the last answer carries loss, or all.")
    language: Literal["en", "zh", "other"] = Field(
        "en",
        description="Language of the answers, by which metrics part words: English, Chinese (by characters), or any "
        "other, whose words stand apart.",
    )
    metadata: list[str] = Field([], description="Further fields of the data, numbers or texts, that methods may read.")

    @field_validator("metadata")
    @classmethod
    def _metadata_are_further_fields(cls, metadata: list[str]) -> list[str]:
        for name in metadata:
            if name in TEXT_COLUMNS:
                raise ValueError(f"every record has a field '{name}' of its own; take it away")
        if len(set(metadata)) < len(metadata):
            raise ValueError("a field is listed twice")
        return metadata

    @model_validator(mode="after")
    def _glossary_has_its_own_fields(self) -> "Domain":
        if self.source.kind == "glossary" and (self.fields or self.metadata or self.leave):
            raise ValueError("a glossary's records are made by code; take 'fields', 'metadata' and 'leave' away")
        return self


class Splits(Section):
    """How many records of each domain go where; splits are made over all domains by connected groups."""

    train: int | None = Field(None, ge=1, description="Training records; all that remain when not given.")
    validation: int = Field(ge=0, description="Validation records; methods may read them.")
    test: int = Field(ge=1, description="Test records; they decide how narrow the intervals of the tables are.")
    seed: int = Field(0, description="Draws the splits; one seed for the whole study, whatever `seeds` lists.")


class Adapter(Section):
    """Low-rank adaptation (LoRA, arXiv 2106.09685) of the named linear layers."""

    rank: int = Field(16, ge=1, description="Rank of the update of each layer.")
    alpha: float = Field(32.0, gt=0, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of an adapter's inputs dropped in training.")
    targets: Literal["all-linear"] | Annotated[list[Text], Field(min_length=1)] = Field(
        "all-linear", description="Names of linear layers, such as `[q_proj, v_proj]`; or all but the LM head."
    )


class Training(Section):
    """Fine-tuning, shared by all arms; nothing is tuned per arm, and only an arm's strategy departs from it."""

    weights: Literal["lora", "full"] = Field("lora", description="Train a LoRA adapter, or all weights.")
    adapter: Adapter = Field(Adapter(), description="Shape of the adapter; read when `weights` is `lora`.")
    epochs: int = Field(2, ge=1, le=10_000, description="Visits of each record; a smaller subset takes fewer steps.")
    global_batch: int = Field(8, ge=1, description="Records per optimiser step; the micro-batch is the machine's.")
    learning_rate: float = Field(2.0e-4, gt=0, description="Peak rate of AdamW; write 2.0e-4, YAML reads 2e-4 as text.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps with rising rate, before the cosine.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of AdamW.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients of a step are scaled down to this l2 norm.")
    max_length: int = Field(512, ge=8, le=10_000_000, description="Tokens of prompt and response together.")
    over_length: Literal["drop", "truncate"] = Field(
        "drop",
        description="What happens to longer training and validation records: `drop` leaves them out, `truncate` cuts "
        "their answers; both are counted. A record whose prompt alone is too long is left out either way, a test "
        "record too.",
    )
    precision: Precision = Field(
        "auto",
        description="Autocast type; what is trained is held in float32 either way. `auto`: bf16 on a GPU or processor "
        "that computes in it (AVX-512 bf16, AMX, Arm bf16), float32 elsewhere, where bf16 is many times slower.",
    )


class Generation(Section):
    """Greedy generation of the domain answers."""

    max_new_tokens: int = Field(
        64, ge=1, le=1_000_000, description="Longest answer in tokens; the share cut off is reported."
    )


class Verdicts(Section):
    """Verdicts of others, people or another model, on the answers, as the metric `verdict`.

    Tables show verdicts as shares of the way from the worst (0) to the best (1).
    """

    path: str = Field(
        description="JSON lines, CSV or Parquet with a row for each test answer of every run: `cell` (its folder below "
        "`runs`), `id` and `prediction` as in its predictions.jsonl, and a number as `verdict`."
    )
    worst: float = Field(0.0, description="The worst verdict that there is; it may be the greater number.")
    best: float = Field(1.0, description="The best verdict that there is.")
    by: Shown = Field("", description="Who judged, and how; part of the metric's signature below the tables.")

    @model_validator(mode="after")
    def _the_best_is_not_the_worst(self) -> "Verdicts":
        if self.best == self.worst:
            raise ValueError(f"'worst' and 'best' are both {self.best:g}; write the two ends of the scale")
        return self


class Evaluation(Section):
    """Domain metrics and how the model is run for them."""

    metrics: list[str] = Field(
        ["bleu", "meteor", "chrf", "response_nll"],
        min_length=1,
        description="Domain metrics of the tables, in their order; docs/metrics.md describes them all.",
    )
    wordnet: ArchiveSource | None = Field(
        None, description="WordNet 3.0 for METEOR's synonyms, which METEOR needs for domains in English."
    )
    verdicts: Verdicts | str | None = Field(
        None,
        description="Verdicts on the answers, for the metric `verdict`: a path alone, of numbers from 0 to 1, or these "
        "keys; docs/metrics.md has an example.",
    )
    cross_domain: bool = Field(
        False, description="Test every model on the other domains too: what tuning on one does to another."
    )
    precision: Precision = Field(
        "auto", description="Type of the frozen weights, as in `training`; adapters stay in float32."
    )
    token_budget: int = Field(4096, ge=1, description="Most tokens in a batch, padding and answers included.")
    task_batch: int = Field(16, ge=1, description="lm-eval's batch size; fixed, because it changes the last digits.")

    @property
    def judged(self) -> Verdicts | None:
        """Where verdicts on the answers are, and what they mean; none where there are none."""
        return Verdicts(path=self.verdicts) if isinstance(self.verdicts, str) else self.verdicts


class Arm(Section):
    """A way to train: a selection method with its parameters, its ratios, and how what is kept is trained on."""

    method: str = Field(description="Name of a selection method; docs/methods.md describes them all.")
    ratios: list[Ratio] = Field([], description="Keep ratios, or `auto`; none for `full` (1) and `untuned` (0).")
    parameters: dict[str, Any] = Field({}, description="Parameters of the method; see docs/methods.md.")
    start: Literal["base", "warm"] = Field(
        "base", description="Where training starts: untrained weights, or those that the preliminary epoch ends with."
    )
    strategy: str = Field("sft", description="How what is kept is trained on; docs/strategies.md describes them all.")
    strategy_parameters: dict[str, Any] = Field({}, description="Parameters of the strategy; see docs/strategies.md.")
    match: Match = Field(
        "epochs",
        description="What training has in common with the arm's other ratios and with the study's plain run on all "
        "records: `training.epochs`, or what is kept repeated to that run's optimiser steps, or to its tokens.",
    )
    scorer: Name | None = Field(
        None,
        description="Key of `models` or `scorers`: the model whose signals the method reads, where it is not the one "
        "that is trained.",
    )


class Study(Section):
    """A whole study."""

    study: Name = Field(description="Name of the study: its results are in `results/<study>`.")
    label: Shown = Field(description="What a reader of the tables must know; printed above every table.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1,
        description="Each arm runs once per seed; tables show means over seeds.",
    )
    archives: dict[Name, Archive] = Field({}, description="Wheels and sdists that sources name, by their keys.")
    models: dict[Name, Model] = Field(min_length=1, description="Models by their keys, which appear in paths.")
    scorers: dict[Name, Model] = Field({}, description="Models that only score records for arms, by keys in paths.")
    encoders: dict[Name, Encoder] = Field({}, description="Sentence encoders that arms name, by keys in paths.")
    domains: dict[Name, Domain] = Field(min_length=1, description="Domains by their keys, which appear in paths.")
    splits: Splits = Field(description="Sizes of training, validation and test data of every domain.")
    arms: dict[Name, Arm] = Field(min_length=1, description="What is compared, by keys which appear in paths.")
    training: Training = Field(Training(), description="Fine-tuning, the same for all arms.")
    probe: Probe = Field(Probe(), description="The pass that measures every training record.")
    generation: Generation = Field(Generation(), description="How answers are generated.")
    evaluation: Evaluation = Field(Evaluation(), description="What is measured on the domain.")
    general: General = Field(description="What measures forgetting.")
    claims: list[Claim] | str = Field(
        [], description="Claims to judge: a list of them, or the path of a YAML file with one (see `config/claims`)."
    )
    published: list[Publication] = Field([], description="Published values that tables show beside ours.")
    overlap: Literal["report", "refuse", "remove"] = Field(
        "report",
        description="Training and validation records that share a question or 8 words in a row (16 characters of "
        "Chinese or Japanese) with test records or general items: reported only, refused, or removed.",
    )

    @property
    def every_model(self) -> dict[str, Model]:
        """Models that are trained, and those that only score."""
        return {**self.models, **self.scorers}

    @property
    def used_models(self) -> list[str]:
        """Keys of the models that are trained, and of those that an arm scores with."""
        scoring = {arm.scorer for arm in self.arms.values()}
        return [model for model in self.every_model if model in self.models or model in scoring]

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds
