"""The part of the config that says what is compared: `arms`."""

from typing import Any, Literal

from pydantic import Field, model_validator

from grads.config.ratios import Ratio
from grads.config.section import Name, Section
from grads.config.training import (
    Alpha,
    Dropout,
    Epochs,
    LearningRate,
    Rank,
    Targets,
    Training,
    WarmupShare,
    WeightDecay,
)

Match = Literal["epochs", "steps", "tokens"]


class OwnAdapter(Section):
    """What an arm's adapter has of its own; what is not given is the study's.

    Where a rank is given without an alpha, alpha / rank, the scale of the update, stays the study's.
    """

    rank: Rank | None = None
    alpha: Alpha | None = None
    dropout: Dropout | None = None
    targets: Targets | None = None


class OwnTraining(Section):
    """Settings of one arm in place of the study's `training`; tables mark the arm as a departure.

    Keys that decide which records there are, how steps batch them and how steps are computed cannot be replaced.
    """

    epochs: Epochs | None = None
    learning_rate: LearningRate | None = None
    warmup: WarmupShare | None = None
    weight_decay: WeightDecay | None = None
    adapter: OwnAdapter = Field(OwnAdapter(), description="Shape of the adapter.")
    stop: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of the run's steps after which it ends, as an early checkpoint: the rate is that of the "
        "whole run up to there.",
    )

    @model_validator(mode="before")
    @classmethod
    def _only_what_may_differ(cls, content: Any) -> Any:
        shared = Training.model_fields.keys() - cls.model_fields.keys()
        if isinstance(content, dict) and (given := sorted(content.keys() & shared)):
            raise ValueError(
                f"{', '.join(given)} of the study's `training` holds for all arms, or they could not be compared: "
                "remove it here"
            )
        return content

    def applied(self, training: Training) -> Training:
        """Return a study's training settings as the arm changes them."""
        adapter = {name: value for name, value in self.adapter if value is not None}
        if "rank" in adapter:
            adapter.setdefault("alpha", training.adapter.alpha * adapter["rank"] / training.adapter.rank)
        own = {name: value for name, value in self if value is not None and name in Training.model_fields}
        return training.model_copy(update=own | {"adapter": training.adapter.model_copy(update=adapter)})

    @property
    def given(self) -> dict[str, Any]:
        """What is given, as it is written in a config."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


class Arm(Section):
    """One experimental condition: a selection method with parameters and ratios, and how its subset is trained on."""

    method: str = Field(description="Name of a selection method; docs/methods.md describes them all.")
    ratios: list[Ratio] = Field([], description="Keep ratios, or `auto`; none for `full` (1) and `untuned` (0).")
    parameters: dict[str, Any] = Field({}, description="Parameters of the method; see docs/methods.md.")
    start: Literal["base", "warm"] = Field(
        "base",
        description="Where training starts: `base`, from the untrained weights; `warm`, from those after the "
        "preliminary epoch.",
    )
    strategy: str = Field(
        "sft", description="How the subset is trained on; docs/strategies.md describes all strategies."
    )
    strategy_parameters: dict[str, Any] = Field({}, description="Parameters of the strategy; see docs/strategies.md.")
    match: Match = Field(
        "epochs",
        description="How run length is matched. `epochs`: every arm trains for `training.epochs`. `steps` or `tokens`: "
        "the subset is repeated until the run has as many optimiser steps or tokens as training on all records.",
    )
    training: OwnTraining = Field(
        OwnTraining(), description="Settings that replace those of the study's `training` for this arm."
    )
    scorer: Name | None = Field(
        None,
        description="Key of `models` or `scorers`: the model whose signals the method reads, where it is not the one "
        "that is trained.",
    )


def usual_arms() -> dict[str, Arm]:
    """Return what is compared where a config says nothing: GrADS and its controls, at a small and a large ratio."""
    fixed = {name: Arm(method=name) for name in ("untuned", "full")}
    return fixed | {name: Arm(method=name, ratios=["0.05", "0.5"]) for name in ("random", "random_length", "grads")}
