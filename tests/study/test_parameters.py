"""What files declare, found; and their parameters."""

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from pydantic import Field

from grads.config.section import Section
from grads.runtime.errors import GradsError
from grads.study.parameters import Registry, parameters_table, parse_parameters


@dataclass
class Thing:
    name: str
    source: str = "a test"


class Parameters(Section):
    """Two parameters."""

    size: int = Field(description="How large.")
    names: list[str] = Field(["a"], description="How |called|.")


@pytest.fixture
def found(monkeypatch):
    """Declare things in modules of one's own, and collect them."""

    def declare(**modules):
        for module, thing in modules.items():
            monkeypatch.setitem(sys.modules, module, SimpleNamespace(THING=thing))
        return Registry("the", "THING", Thing, "there is no thing", ()).collect(modules)

    return declare


def test_things_are_sorted_by_name_with_their_modules(found):
    assert found(one=Thing("b"), two=Thing("a")) == {"a": (Thing("a"), "two"), "b": (Thing("b"), "one")}
    assert list(found(one=Thing("b"), two=Thing("a"))) == ["a", "b"]


def test_a_module_without_a_thing_is_noticed(found):
    with pytest.raises(GradsError, match=r"one.py declares no THING: add it, or name .* in the\.registry\.HELPERS"):
        found(one="a thing")


def test_a_name_declared_twice_is_noticed(found):
    with pytest.raises(GradsError, match=r"one\.py and two\.py both declare the thing 'a'"):
        found(one=Thing("a"), two=Thing("a"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": 1, "sise": 2}, "thing 'a' has no parameter 'sise': did you mean 'size'"),
        ({}, "thing 'a' needs the parameter 'size', which is not given"),
        ({"size": "1"}, "parameter 'size' of thing 'a' is '1': "),
        ({"size": 1, "names": [2]}, r"parameter 'names\.0' of thing 'a' is 2: "),
    ],
)
def test_wrong_parameters_are_named(given, sentence):
    with pytest.raises(GradsError, match=sentence):
        parse_parameters("thing 'a'", Parameters, given)
    assert parse_parameters("thing 'a'", Parameters, {"size": 1}).names == ["a"]


def test_the_table_has_defaults_and_descriptions():
    assert parameters_table(Section) == ""
    assert parameters_table(Parameters).splitlines()[3:] == [
        "| `size` | required | How large. |",
        '| `names` | `["a"]` | How \\|called\\|. |',
    ]
