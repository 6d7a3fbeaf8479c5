"""The config of a published value; grads.study.published finds what it is of."""

from pydantic import Field

from grads.study.section import Name, Section, Shown


class Publication(Section):
    """A value that somebody published, which the tables `domain` and `forgetting` show in brackets beside ours."""

    run: str = Field(description="The run as tables call it: `<arm>@<ratio>`, or `full` or `untuned`.")
    measure: str = Field(description="A domain metric, a general task, or `general` (mean accuracy over tasks).")
    value: float = Field(description="The value as tables print it: the metric's units, accuracies in percent.")
    model: Name | None = Field(None, description="Key of a model; may be left out where the study has one.")
    domain: Name | None = Field(
        None, description="Key of the domain that was tuned on; may be left out where the study has one."
    )
    source: Shown = Field(min_length=1, description="Where it was published.")
