"""The hint that an error gives for a name that is not known."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.runtime.errors import GradsError, nearest

NAMES = st.lists(st.text("abcdef_", min_size=1, max_size=8), max_size=6, unique=True)


@given(NAMES, st.randoms())
def test_a_valid_name_is_its_own_nearest_in_any_order(names, shuffler):
    shuffled = shuffler.sample(names, len(names))
    for name in names:
        assert nearest(name, shuffled) == f"did you mean '{name}'?"


@given(st.text("abcdef_", max_size=8), NAMES, st.randoms())
def test_a_hint_names_valid_names_only_and_does_not_depend_on_their_order(name, names, shuffler):
    hint = nearest(name, names)
    assert hint == nearest(name, shuffler.sample(names, len(names))) == nearest(name, iter(names))
    quoted = hint.split("'")[1::2]
    assert set(quoted) <= set(names)
    assert bool(quoted) == bool(names)
    if hint.startswith("valid"):
        assert quoted == sorted(names)
        assert all(difflib.SequenceMatcher(None, one, name).ratio() < 0.5 for one in names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ratio", "ratios"), ("learnin_rate", "learning_rate"), ("Training", "training"), ("eposch", "epochs")],
)
def test_usual_slips_find_their_name(name, expected):
    assert nearest(name, ["ratios", "learning_rate", "training", "epochs", "seeds"]) == f"did you mean '{expected}'?"


def test_only_the_users_mistakes_are_caught_with_it():
    assert GradsError.__bases__ == (Exception,)
    with pytest.raises(GradsError, match=r"^data\.jsonl:3: no key: add it$"):
        raise GradsError("data.jsonl:3: no key: add it")


@given(st.text())
def test_a_sentence_is_one_line_whatever_it_quotes(quoted):
    sentence = str(GradsError(f"no method '{quoted}': fix it"))
    assert len(sentence.splitlines()) == 1
    assert sentence.isprintable()
    if quoted.isprintable():
        assert sentence == f"no method '{quoted}': fix it"
