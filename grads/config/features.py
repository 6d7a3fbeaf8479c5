"""The part of the config that says how gradients become vectors: `probe.features`."""

from typing import Literal

from pydantic import Field, model_validator

from grads.config.section import Section, Text

# Keys that one projection reads and the other does not.
READ_BY = {"kronecker": ("size", "pooled"), "dense": ("dimension", "allow_costly")}


class Features(Section):
    """Gradients of the adapter as vectors, one a record, made short by a random projection that keeps their inner
    products. Methods ask for them by themselves; where none does, nothing here is read.
    """

    projection: Literal["kronecker", "dense"] = Field(
        "kronecker",
        description="`kronecker`: both sides of each module's gradient, which costs next to nothing (LoGra). `dense`: "
        "all entries by one matrix of random signs, more exact for its length and dear (LESS, TRAK).",
    )
    size: int = Field(
        16,
        ge=1,
        le=65_536,
        description="`kronecker`: dimensions per side, so at most size x size numbers for each module.",
    )
    pooled: bool = Field(
        False,
        description="`kronecker`: add the modules' projections to one of size x size numbers, instead of putting them "
        "one after the other; much shorter, and noisier.",
    )
    dimension: int = Field(
        1024,
        ge=1,
        le=16_777_216,
        description="`dense`: length of the vectors; inner products vary by about 1 / sqrt(dimension).",
    )
    allow_costly: bool = Field(
        False, description="`dense`: go on where projecting would cost more than the pass that takes the gradients."
    )
    unit: bool = Field(False, description="Scale each vector to length 1, so that inner products are cosines.")
    modules: list[Text] = Field(
        ["*"],
        min_length=1,
        description="Which modules are taken, of those with an adapter or, without one, of all linear layers, by "
        "patterns of their whole names such as `*.q_proj` or `*.layers.1[0-9].*`; fewer modules make shorter vectors.",
    )
    seed: int = Field(0, ge=0, description="Draws the projection; vectors of different seeds cannot be compared.")

    @model_validator(mode="after")
    def _keys_belong_to_the_projection(self) -> "Features":
        other = "dense" if self.projection == "kronecker" else "kronecker"
        for key in READ_BY[other]:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"'{key}' is read only where projection is '{other}'; remove it, or set projection: {other}"
                )
        return self
