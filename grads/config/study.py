"""The config of a study: one Pydantic model, from which the JSON schema and the reference page are made.

Science lives here; machine settings (devices, cores, micro-batch, partitions) live in `profiles/`.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from grads.config.arms import Arm
from grads.config.claims import Claim, Publication
from grads.config.domains import Domain, Splits
from grads.config.evaluation import Evaluation, Generation
from grads.config.general import General
from grads.config.models import Encoder, Model, Skill
from grads.config.probe import Probe
from grads.config.section import Name, Section, Shown
from grads.config.sources import Archive
from grads.config.training import Training


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
