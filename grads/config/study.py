"""The config of a study: one Pydantic model, from which the JSON schema and the reference page are made.

Science lives here; machine settings (devices, cores, micro-batch, partitions) live in `profiles/`.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from grads.config.arms import Arm, usual_arms
from grads.config.claims import Claim, Publication
from grads.config.domains import Domain, Splits
from grads.config.evaluation import Evaluation, Generation
from grads.config.general import General
from grads.config.models import Encoder, Model, Skill
from grads.config.probe import Probe
from grads.config.section import Name, Section, Shown
from grads.config.sources import BUILT_IN, Archive, Source
from grads.config.training import Training


class Study(Section):
    """A whole study."""

    study: Name = Field(description="Name of the study: its results are in `results/<study>`.")
    label: Shown = Field(
        "No label was given: the config does not say what a reader of its tables must know.",
        description="What a reader of the tables must know; printed above every table.",
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 1, 2],
        min_length=1,
        description="Each arm runs once per seed; tables show means over seeds.",
    )
    archives: dict[Name, Archive] = Field(
        {},
        description="Wheels and sdists that sources name, by their keys. Two are known without an entry: "
        + " and ".join(f"`{key}` (`{one.package}` {one.version})" for key, one in BUILT_IN.items())
        + ".",
    )
    models: dict[Name, Model] = Field(min_length=1, description="Models by their keys, which appear in paths.")
    scorers: dict[Name, Model] = Field({}, description="Models that only score records for arms, by keys in paths.")
    encoders: dict[Name, Encoder] = Field({}, description="Sentence encoders that arms name, by keys in paths.")
    domains: dict[Name, Domain] = Field(min_length=1, description="Domains by their keys, which appear in paths.")
    splits: Splits = Field(
        Splits(validation=50, test=200), description="Sizes of training, validation and test data of every domain."
    )
    arms: dict[Name, Arm] = Field(
        default_factory=usual_arms, min_length=1, description="What is compared, by keys which appear in paths."
    )
    training: Training = Field(Training(), description="Fine-tuning, the same for all arms.")
    probe: Probe = Field(Probe(), description="The pass that measures every training record.")
    generation: Generation = Field(Generation(), description="How answers are generated.")
    evaluation: Evaluation = Field(Evaluation(), description="What is measured on the domain.")
    general: General = Field(General(), description="What measures forgetting.")
    claims: list[Claim] | str = Field(
        [], description="Claims to judge: a list of them, or the path of a YAML file with one (see `config/claims`)."
    )
    published: list[Publication] = Field([], description="Published values that tables show next to ours.")
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
    def sources(self) -> dict[str, Source]:
        """Where all comes from, by the key of the config that says it."""
        models = {f"models.{name}": model for name, model in self.models.items()}
        models |= {f"scorers.{name}": model for name, model in self.scorers.items()}
        general = self.general
        return {
            **{f"encoders.{name}.source": encoder.source for name, encoder in self.encoders.items()},
            **{f"{key}.source": model.source for key, model in models.items()},
            **{f"{key}.taught.source": model.taught.source for key, model in models.items() if model.taught},
            **{f"domains.{name}.source": domain.source for name, domain in self.domains.items()},
            **{f"general.tasks.{name}.data": task.data for name, task in general.tasks.items()},
            "general.text.source": general.text.source,
            **({"general.instructions.source": general.instructions.source} if general.instructions else {}),
            **({"evaluation.wordnet": self.evaluation.wordnet} if self.evaluation.wordnet else {}),
        }

    @property
    def every_archive(self) -> dict[str, Archive]:
        """Archives by their keys: the built-in ones that sources name, and the config's, which win."""
        named = {source.archive_key for source in self.sources.values()}
        return {key: archive for key, archive in BUILT_IN.items() if key in named} | self.archives

    @property
    def skills(self) -> dict[str, Skill]:
        """What models are taught before the study begins, by the keys of those that are."""
        return {name: model.taught for name, model in self.every_model.items() if model.taught}

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
