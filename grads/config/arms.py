"""The part of the config that says what is compared: `arms`."""

from typing import Any, Literal

from pydantic import Field

from grads.config.ratios import Ratio
from grads.config.section import Name, Section

Match = Literal["epochs", "steps", "tokens"]


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
