"""Overlap against a comparison of every item with every other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.data.overlap import (
    MOST_ITEMS,
    WORDS_IN_A_ROW,
    Collection,
    Item,
    choice_item,
    find_overlaps,
    record_item,
    text_item,
)
from grads.data.records.record import Turn, make_record

LONG = "one two three four five six seven eight nine"


def collection(name: str, kind: str, *texts: str) -> Collection:
    return Collection(name, kind, [Item(f"{name}{n}", text, (text,)) for n, text in enumerate(texts)])


def test_questions_and_words_in_a_row_are_found() -> None:
    train = collection(
        "train", "train", "What is it?", f"so {LONG} it is", "one two three", LONG.replace("nine", "ten")
    )
    test = collection("test", "test", "WHAT is  it", f"{LONG.upper()}!", "other")
    (found,) = find_overlaps([train, test])
    assert (found.of.name, found.against.name) == ("train", "test")
    assert found.exact == {"train0"}
    assert found.in_a_row == {"train1", "train3"}
    assert found.touched == {"test0", "test1"}
    assert found.examples[0] == {"id": "train0", "other": "test0", "shared": "what is it"}
    assert [example["id"] for example in found.examples] == ["train0", "train1", "train3"]


def test_every_kind_is_held_against_those_after_it() -> None:
    kinds = ("general", "test", "train", "validation")
    pairs = [(o.of.name, o.against.name) for o in find_overlaps([collection(kind, kind, LONG) for kind in kinds])]
    assert set(pairs) == {
        ("train", "validation"), ("train", "test"), ("train", "general"),
        ("validation", "test"), ("validation", "general"), ("test", "general"),
    }  # fmt: skip
    assert len(pairs) == 6


@pytest.mark.parametrize(("copies", "counted"), [(MOST_ITEMS - 1, True), (MOST_ITEMS, False)])
def test_a_turn_of_phrase_counts_for_nothing(copies: int, counted: bool) -> None:
    train = collection("train", "train", *(f"{LONG} {n}" for n in range(copies)))
    (found,) = find_overlaps([train, collection("test", "test", f"{LONG} x")])
    assert len(found.in_a_row) == (copies if counted else 0)
    same = [collection("train", "train", *[LONG] * copies), collection("test", "test", LONG)]
    assert len(find_overlaps(same)[0].exact) == copies


def test_texts_of_one_item_are_not_joined() -> None:
    halves = ("one two three four", "five six seven eight")
    train = Collection("train", "train", [Item("a", "q", halves)])
    (found,) = find_overlaps([train, collection("test", "test", LONG)])
    assert not found.ids


WORDS = st.lists(st.sampled_from("ab"), max_size=12).map(" ".join)
PARTS = st.lists(WORDS, max_size=3)


def naive(of: Collection, against: Collection, everything: list[Collection]) -> tuple[set[str], set[str]]:
    def rows(item: Item) -> set[tuple[str, ...]]:
        lists = [text.split() for text in item.texts]
        return {tuple(x[i : i + WORDS_IN_A_ROW]) for x in lists for i in range(len(x)) if len(x) >= i + WORDS_IN_A_ROW}

    def rare(row: tuple[str, ...]) -> bool:
        return sum(row in rows(item) for each in everything for item in each.items) <= MOST_ITEMS

    exact = {x.id for x in of.items for y in against.items if x.question and x.question == y.question}
    shared = {x.id for x in of.items for y in against.items if any(rare(row) for row in rows(x) & rows(y))}
    return exact, shared


@given(PARTS, PARTS, PARTS)
def test_the_same_as_comparing_every_pair(train: list[str], test: list[str], general: list[str]) -> None:
    everything = [
        collection("train", "train", *train),
        collection("test", "test", *test),
        collection("general", "general", *general),
    ]
    for found in find_overlaps(everything):
        assert (found.exact, found.in_a_row) == naive(found.of, found.against, everything)


CHINESE = "市场经济的发展离不开法律制度的保障"


def test_sixteen_characters_in_a_row_are_as_much_as_eight_words() -> None:
    train = collection(
        "train", "train", f"因此、{CHINESE[:16]}。", f"因此{CHINESE[:15]}", f"{CHINESE[:8]} one two three four five"
    )
    test = collection("test", "test", CHINESE, f"{CHINESE[:8]}、one two three four")
    (found,) = find_overlaps([train, test])
    assert found.in_a_row == {"train0", "train2"}
    assert found.examples[0]["shared"] == " ".join(CHINESE[:16])
    (same,) = find_overlaps([collection("train", "train", "什么是 法律。"), collection("test", "test", "什么是法律")])
    assert same.exact == {"train0"}


def test_what_of_an_item_is_looked_into() -> None:
    turns = [Turn("system", "S"), Turn("user", "Q1"), Turn("assistant", "A1")]
    item = record_item(make_record("Q2", "I", "A2", turns=turns))
    assert item.question == "Q1"
    assert set(item.texts) == {"S", "Q1", "A1", "Q2", "I", "A2"}
    assert record_item(make_record("Q", "I", "A")).question == "Q\n\nI"
    choice = choice_item(2, {"question": "Q", "choices": ["wrong", "right"], "gold": 1, "passage": "P"})
    assert choice == Item("item 2", "P\nQ", ("P\nQ", "right"))
    assert text_item(1, {"text": "T"}) == Item("text 1", "T", ("T",))
