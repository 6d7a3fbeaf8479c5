"""The three filters by hand, and against scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from grads.runtime.errors import GradsError
from grads.selection.contract import Inputs
from grads.selection.methods.thtb import (
    METHOD,
    Thtb,
    by_words,
    distances,
    extrinsic,
    interdisciplinarity,
    intrinsic,
    passing,
    silhouettes,
    verb_levels,
)

Make = Callable[..., Inputs]


def texts(**columns: list[Any]) -> dict[str, pd.DataFrame]:
    """Return the table of training records; columns that are not given are empty."""
    count = len(next(iter(columns.values())))
    empty = dict.fromkeys(("instruction", "input", "output", "source"), "")
    ids = {"id": [f"r{index:03}" for index in range(count)]}
    return {"train": pd.DataFrame(ids | empty | columns)}


def test_shares_are_the_papers_at_five_percent_and_act_at_every_ratio() -> None:
    assert passing(52_000, 2_600) == (10_400, 5_200)
    assert passing(100, 100) == (100, 100)
    for count in range(1, 101):
        first, second = passing(100, count)
        assert 100 >= first >= second >= count
    first, second = passing(1000, 500)
    assert 1000 > first > second > 500


def test_levels_are_summed_over_those_whose_verbs_are_there() -> None:
    found = verb_levels(["List and compare them.", "WHY?", "Hello", "Design, then evaluate it", "listing"])
    assert found.tolist() == [5, 4, 0, 11, 0]


def test_disciplines_by_words() -> None:
    assert by_words("Which drug treats the disease of a cell?") == {"medicine", "biology"}
    assert by_words("Hello") == frozenset()


def test_interdisciplinarity_by_hand() -> None:
    named = [frozenset("ab"), frozenset("a"), frozenset(), frozenset("bc")]
    apart = distances(named, ["one two", "one", "four", "two three"])
    assert apart.keys() == {frozenset("ab"), frozenset("bc")}
    assert all(0 <= distance <= 1 for distance in apart.values())
    # Counts 2, 1, 0, 2 on the scale of 0 to 1, and the distance of the only pair.
    expected = [1 + apart[frozenset("ab")], 0.5, 0, 1 + apart[frozenset("bc")]]
    np.testing.assert_allclose(interdisciplinarity(named, apart), expected)


def test_equal_texts_are_no_distance_apart_and_disjoint_ones_one() -> None:
    named = [frozenset("ab"), frozenset("cd"), frozenset("c"), frozenset("d")]
    apart = distances(named, ["one", "two three", "two", "three"])
    assert apart[frozenset("ab")] == pytest.approx(0)
    assert 0 < apart[frozenset("cd")] < 1


def test_the_two_forms_of_level(inputs_of: Make) -> None:
    table = texts(instruction=["x"] * 3, bloom=[1.0, 11.0, 6.0], names=["", "", ""])
    inputs = inputs_of({"base": {"hidden": np.eye(3)}}, 3, texts=table)
    given = {"bloom_field": "bloom", "disciplines_field": "names"}
    code = intrinsic(inputs, Thtb(**given), np.arange(3))
    paper = intrinsic(inputs, Thtb(**given, form="paper"), np.arange(3))
    np.testing.assert_allclose(code, [0, 0.25, 0.125])
    np.testing.assert_allclose(paper, [0, 0.5, 0.25])


def test_the_two_forms_of_length() -> None:
    table = texts(instruction=["ab", "abcd", "ab"], output=["ab", "abcdefgh", "abcd"])["train"]
    # Whole lengths 4, 12, 6; quotients 1, 2, 2. The silhouettes are the same in both forms.
    code, paper = (extrinsic(table, Thtb(form=form)) for form in ("code", "paper"))
    silhouette = 2 * code - (np.array([0, 1, 0.25]) + np.array([0, 1, 1])) / 2
    np.testing.assert_allclose(2 * paper, np.array([0, 1, 0.25]) + np.array([1, 2, 2]) + silhouette)
    assert ((silhouette >= 0) & (silhouette <= 1)).all()


def test_silhouettes_are_those_of_scikit_learn() -> None:
    some = ["red apple pie", "apple pie", "red apple", "blue sea wave", "sea wave", "blue wave"]
    found = silhouettes(some, 2)
    from sklearn.feature_extraction.text import TfidfVectorizer

    points = TfidfVectorizer().fit_transform(some)
    assert found.mean() == pytest.approx(silhouette_score(points, [0, 0, 0, 1, 1, 1], metric="cosine"))
    assert silhouettes(["same", "same"], 2).tolist() == [0, 0]
    assert silhouettes(["", "?"], 2).tolist() == [0, 0]


def test_twenty_records_by_hand(inputs_of: Make) -> None:
    """One is kept of 20: the fifth of best quality, of those the harder half, of those the longer."""
    quality = [float(place) for place in range(20)]
    bloom = [21.0] * 16 + [1.0, 21.0, 21.0, 2.0]
    table = texts(
        instruction=["one"] * 20, output=["two"] * 17 + ["two two", "two", "two"], q=quality, b=bloom, d=[""] * 20
    )
    inputs = inputs_of({"base": {"hidden": np.eye(20)}}, 1, texts=table)
    choice = METHOD.select(inputs, Thtb(quality_field="q", bloom_field="b", disciplines_field="d"))
    # Of best quality are 16 to 19, harder 17 and 18, and of these 17 has the longer answer.
    assert np.argsort(-choice.score)[:4].tolist() == [17, 18, 19, 16]
    assert choice.notes == {"stand_ins": [], "of_quality": 4, "intrinsically_hard": 2}
    assert np.argsort(-choice.score)[4:].tolist() == list(range(15, -1, -1))


def test_stand_ins_are_named_and_a_given_quality_needs_no_model() -> None:
    assert METHOD.needs(Thtb()).stores == {"base": {"losses"}}
    assert METHOD.needs(Thtb(quality_field="q")).stores == {}
    assert METHOD.title.endswith("(local)")


def test_likely_answers_stand_in_for_good_ones(select: Any, needed_by: Any) -> None:
    stores = needed_by("thtb", 40)
    table, meta = select("thtb", "0.05", stores)
    assert meta["notes"]["stand_ins"] == ["quality", "bloom", "disciplines"]
    base = stores["base"].signals.set_index("id")["response_nll"]
    kept = base[table["id"][table["kept"]]]
    assert kept.max() <= base.nsmallest(meta["notes"]["of_quality"]).max()


def test_what_has_no_number_or_field_is_refused(inputs_of: Make) -> None:
    table = texts(instruction=["one", "two"], q=[1.0, float("nan")])
    inputs = inputs_of({"base": {"hidden": np.eye(2)}}, 1, texts=table)
    with pytest.raises(GradsError, match="1 of 2 records have no number in 'q' \\(first: r001\\)"):
        METHOD.select(inputs, Thtb(quality_field="q"))
    complete = inputs_of({"base": {"hidden": np.eye(2)}}, 1, texts=texts(instruction=["one", "two"], q=[1.0, 2.0]))
    with pytest.raises(GradsError, match="no record has a field 'names'"):
        METHOD.select(complete, Thtb(quality_field="q", disciplines_field="names"))
