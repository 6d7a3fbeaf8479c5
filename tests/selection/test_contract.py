"""The contract of a method: what it needs, and what parameters take."""

import dataclasses
from collections.abc import Callable

import pandas as pd
import pytest
from pydantic import Field, ValidationError

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters


class Made(Parameters):
    """Parameters of a synthetic method."""

    share: float = Field(0.5, ge=0)
    number: int = 3


@pytest.mark.parametrize(
    ("needs", "auto", "expected"),
    [
        (Needs(), True, ()),
        (Needs(arms=("a", "b")), False, ("a", "b")),
        (Needs(arms=("a",), count_of="b"), False, ("a",)),
        (Needs(arms=("a",), count_of="b"), True, ("a", "b")),
        (Needs(arms=("b", "a"), count_of="b"), True, ("b", "a")),
        (Needs(count_of="b"), True, ("b",)),
    ],
)
def test_references_are_read_once_and_the_counted_arm_only_for_auto(
    needs: Needs, auto: bool, expected: tuple[str, ...]
) -> None:
    assert needs.references(auto) == expected


@pytest.mark.parametrize("given", [{"shares": 1.0}, {"share": "1.0"}, {"number": 3.0}, {"number": True}, {"share": -1}])
def test_parameters_refuse_what_is_unknown_or_of_another_type(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Made(**given)


def test_parameters_take_a_whole_number_for_a_fraction_and_do_not_change() -> None:
    made = Made(share=1)
    assert made.share == 1.0
    with pytest.raises(ValidationError, match="frozen"):
        made.share = 2.0  # type: ignore[misc]
    assert made == Made(share=1.0)
    assert made != Made()


def test_a_method_declared_by_its_name_and_function_needs_nothing() -> None:
    made = Method(
        name="made", title="Made", source="nowhere", select=lambda inputs, _: Choice(inputs.pool["id"].to_numpy())
    )
    assert made.needs(made.parameters()) == Needs()
    assert made.automatic_count(made.parameters()) is None
    assert (made.fixed_ratio, made.trains, made.equal_steps, made.uses_target) == (None, True, False, False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "other"  # type: ignore[misc]


def test_seeing_the_target_may_depend_on_the_parameters() -> None:
    def made(uses_target: bool | Callable[[Made], bool]) -> Method:
        return Method(
            name="made",
            title="Made",
            source="nowhere",
            select=lambda inputs, _: Choice(inputs.pool["id"].to_numpy()),
            parameters=Made,
            uses_target=uses_target,
        )

    assert made(True).sees_target(Made())
    assert not made(False).sees_target(Made())
    assert made(lambda parameters: parameters.number > 3).sees_target(Made(number=4))
    assert not made(lambda parameters: parameters.number > 3).sees_target(Made())


def test_the_pool_is_the_store_of_tokens() -> None:
    tokens, warm = pd.DataFrame({"id": ["a"]}), pd.DataFrame({"id": ["b"]})
    inputs = Inputs({"warm": warm, "tokens": tokens}, {}, {}, 1, 0)
    assert inputs.pool is tokens


def test_notes_of_two_choices_are_apart() -> None:
    first, second = Choice(None), Choice(None)  # type: ignore[arg-type]
    first.notes["a"] = 1
    assert second.notes == {}
