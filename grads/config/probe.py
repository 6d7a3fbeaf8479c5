"""The part of the config that says how signals are measured: `probe`."""

from typing import Literal

from pydantic import Field

from grads.config.features import Features
from grads.config.section import Precision, Section


class Trajectory(Section):
    """The training run over all training records whose losses methods compare."""

    checkpoints: int = Field(
        8,
        ge=1,
        le=10_000,
        description="Times at which every record's loss is taken, at even steps, the last one's end included.",
    )
    epochs: int = Field(3, ge=1, le=10_000, description="Visits of each record.")


class Probe(Section):
    """The gradient probe."""

    token_budget: int = Field(
        2048,
        ge=1,
        description="Most tokens, padding included, in one batch; lowered by itself where memory is short. It is the "
        "machine's, like `shards`, and changes no signal beyond rounding.",
    )
    shards: int = Field(
        1,
        ge=1,
        le=10_000,
        description="Jobs that share the records of one probe of `base` or `warm`, on several devices or nodes.",
    )
    precision: Precision = Field(
        "auto", description="Type of the weights that are probed, as in `training`; statistics are in float32."
    )
    compile: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether one decoder layer is compiled and used for all, a third less time after some 20 s (5 s "
        "from the compiler's cache): by the size of the job, or as said. Signals differ by rounding.",
    )
    hidden_layer: int | None = Field(
        None, ge=1, description="Decoder layer, from 1, whose outputs `layer_hidden` averages; the middle one if none."
    )
    nonfinite: Literal["stop", "skip"] = Field(
        "stop",
        description="What a NaN or infinite signal does: stop with the record's name, or leave the record out of what "
        "methods select from, and count it.",
    )
    features: Features = Field(Features(), description="How gradients become vectors, for methods that ask for some.")
    trajectory: Trajectory = Field(
        Trajectory(), description="The training run of which methods read losses, for those that ask for them."
    )


MACHINE = {"token_budget", "shards"}
"""Keys of `probe` that are the machine's: they change no value beyond rounding."""
UNREAD = MACHINE | {"trajectory"}
"""Keys that shape no signals of weights that do not change meanwhile."""
