"""The parts of the config that say what is learnt and tested: `domains` and `splits`."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from grads.config.kinds import RECORDS, in_order, union
from grads.config.section import LEAVE, LossTurns, RecordField, Section, Shown
from grads.config.sources import Source

if TYPE_CHECKING:
    RecordSource = Source
else:
    RecordSource = union(in_order(RECORDS))

# What every record has as a column of its own in a table of texts, before its metadata.
TEXT_COLUMNS = ("id", "instruction", "input", "output", "source")


class Domain(Section):
    """A domain of the study: fine-tuning data to learn from and to test on."""

    title: Shown = Field(description="How tables call the domain.")
    source: RecordSource = Field(discriminator="kind", description="Where its records come from.")
    fields: dict[RecordField, str] = Field({}, description="Our name of a field to the data's own, where they differ.")
    leave: list[str] = Field([], description=LEAVE)
    loss_turns: LossTurns = Field("last", description="Of conversations: whether the last answer carries loss, or all.")
    language: Literal["en", "zh", "other"] = Field(
        "en",
        description="Language of the answers, by which metrics split texts into words: English, Chinese (by "
        "characters), or any other, whose words are separated by spaces.",
    )
    metadata: list[str] = Field([], description="Further fields of the data, numbers or texts, that methods may read.")

    @field_validator("metadata")
    @classmethod
    def _metadata_are_further_fields(cls, metadata: list[str]) -> list[str]:
        for name in metadata:
            if name in TEXT_COLUMNS:
                raise ValueError(f"every record has a field '{name}' of its own; take it away")
        if len(set(metadata)) < len(metadata):
            raise ValueError("a field is listed twice")
        return metadata

    @model_validator(mode="after")
    def _what_is_made_by_code_has_its_own_fields(self) -> "Domain":
        if RECORDS.find(self.source.kind).titled and (self.fields or self.metadata or self.leave):
            raise ValueError(
                f"a {self.source.kind}'s records are made by code; take 'fields', 'metadata' and 'leave' away"
            )
        return self


class Splits(Section):
    """How many records of each domain go where; splits are made over all domains by connected groups."""

    train: int | None = Field(None, ge=1, description="Training records; all that remain when not given.")
    validation: int = Field(ge=0, description="Validation records; methods may read them.")
    test: int = Field(ge=1, description="Test records; they decide how narrow the intervals of the tables are.")
    seed: int = Field(0, description="Draws the splits; one seed for the whole study, whatever `seeds` lists.")
    tuning: bool = Field(
        False,
        description="For a pilot that chooses settings: models are tested on the validation records, methods have "
        "none, and nothing reads the test records.",
    )

    @model_validator(mode="after")
    def _there_is_something_to_tune_on(self) -> "Splits":
        if self.tuning and not self.validation:
            raise ValueError("'tuning' tests on the validation records, and there are none: set 'validation' above 0")
        return self

    @property
    def sizes(self) -> dict[str, int | None]:
        """How many records each split is to have; None where it gets what remains."""
        validation, test = (0, self.validation) if self.tuning else (self.validation, self.test)
        return {"train": self.train, "validation": validation, "test": test}
