"""The config of a claim; grads.study.claims reads the sentences."""

from typing import Literal

from pydantic import Field

from grads.study.section import Section, Shown


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
