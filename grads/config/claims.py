"""The parts of the config that say what others found: `claims` to judge and `published` values."""

from typing import Literal

from pydantic import Field

from grads.config.section import Name, Section, Shown


class Claim(Section):
    """A sentence on how two arms compare, which `tables/claims` judges by what was measured."""

    claim: str = Field(
        description="`<arm>@<ratio> beats <arm> on <measure>`, the measure being a domain metric, a task or `general` "
        "(mean accuracy over tasks); or `... forgets less than ... on ...` a task, `general`, or drift: `kl`, `nll` or "
        "`bits_per_byte`."
    )
    form: Literal["absolute", "relative"] = Field(
        "absolute", description="Whether the difference is meant, or the difference in percent of the second arm's."
    )
    published: float | None = Field(
        None, description="Published difference: the metric's units, accuracies in points, relative ones in percent."
    )
    source: Shown = Field("", description="Where it was published.")
    margin: float | None = Field(
        None,
        gt=0,
        description="Size of a difference that would matter, in the units of `published`: a corrected interval inside "
        "plus and minus it is the verdict `no larger than`. Half the published difference, where there is one.",
    )
    pool: Literal["domains", "models"] = Field(
        "domains", description="Whether the claim is judged for each model over all domains, or over all models too."
    )


class Publication(Section):
    """A published value, which the tables `domain` and `forgetting` show in brackets next to ours."""

    run: str = Field(description="The run as tables call it: `<arm>@<ratio>`, or `full` or `untuned`.")
    measure: str = Field(description="A domain metric, a general task, or `general` (mean accuracy over tasks).")
    value: float = Field(description="The value as tables print it: the metric's units, accuracies in percent.")
    model: Name | None = Field(None, description="Key of a model; may be left out where the study has one.")
    domain: Name | None = Field(
        None, description="Key of the domain that was tuned on; may be left out where the study has one."
    )
    source: Shown = Field(min_length=1, description="Where it was published.")
