"""The part of the config that says how signals are measured: `probe`."""

from typing import Literal

from pydantic import Field

from grads.config.features import Features
from grads.config.section import Precision, Section
from grads.config.training import Epochs


class Trajectory(Section):
    """The training run over all training records whose losses methods compare."""

    checkpoints: int = Field(
        8,
        ge=1,
        le=10_000,
        description="Times at which every record's loss is taken, at even steps, the last one's end included.",
    )
    epochs: Epochs = 3


class Warmup(Section):
    """The training run on a part of the records at whose checkpoints methods compare gradients."""

    share: float = Field(
        0.05, gt=0, le=1, description="Share of the training records that it trains on, drawn by seed."
    )
    epochs: Epochs = Field(4, description="Visits of each of them; at the end of each epoch there is a checkpoint.")


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
    warmup: Warmup = Field(
        Warmup(),
        description="The training run at whose checkpoints methods read gradients, for those that ask for them.",
    )


MACHINE = {"token_budget", "shards"}
"""Keys of `probe` that are the machine's: they change no value beyond rounding."""
UNREAD = MACHINE | {"trajectory", "warmup"}
"""Keys that shape no signals of weights that do not change meanwhile."""
