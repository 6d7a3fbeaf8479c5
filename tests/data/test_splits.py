"""Splits without leaks, whatever the records."""

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grads.data.records.record import Record, Turn, make_record
from grads.data.splits import assign_shared, connected_groups, split
from grads.runtime.errors import GradsError

PARTS = ("train", "validation", "test")
FEW = st.sampled_from([f"{letter}{number}" for letter in "ab" for number in range(12)])
LONG = "a long answer of {}, in at least eight words"
ANSWERS = FEW.map(LONG.format)
GROUPS = st.one_of(st.just(""), FEW)
RECORDS = st.lists(st.builds(make_record, FEW, st.just(""), ANSWERS, st.just(""), GROUPS), max_size=25)


def plain_records(prefix: str, number: int) -> list[Record]:
    return [make_record(f"{prefix} question {i}", "", f"{prefix} answer {i}") for i in range(number)]


def traits(record: Record) -> set[tuple[str, str]]:
    found = {("id", record.id), ("prompt", record.instruction), ("answer", record.output)}
    return found | ({("group", record.group)} if record.group else set())


@settings(deadline=None, max_examples=200)
@given(st.fixed_dictionaries(dict.fromkeys(["law", "finance", "medicine"], RECORDS)), st.integers(0, 3), st.randoms())
def test_nothing_is_in_two_splits_of_any_domains(
    domains: dict[str, list[Record]], seed: int, shuffler: random.Random
) -> None:
    try:
        parts, counts = split(domains, None, 1, 2, seed)
    except GradsError:
        return
    for one, other in combinations(PARTS, 2):
        of_one = set().union(*(traits(r) for name in domains for r in parts[name][one]))
        assert not of_one & set().union(*(traits(r) for name in domains for r in parts[name][other]))
    ids = [record.id for name in domains for part in PARTS for record in parts[name][part]]
    assert sorted(ids) == sorted(set(ids))
    assert set(ids) <= {record.id for name in domains for record in domains[name]}
    for name in domains:
        assert min(counts[name][part] for part in PARTS) >= 1
        kept = sum(counts[name][part] for part in PARTS)
        assert kept + counts[name]["duplicate"] + counts[name]["shared"] == counts[name]["given"] == len(domains[name])
    shuffled = {name: shuffler.sample(domains[name], len(domains[name])) for name in sorted(domains)}
    assert split(shuffled, None, 1, 2, seed) == (parts, counts)


def test_numbers_seeds_and_nesting() -> None:
    domains = {"law": plain_records("law", 60), "finance": plain_records("finance", 50)}
    parts, counts = split(domains, 20, 5, 10, seed=0)
    for name in domains:
        assert [len(parts[name][part]) for part in PARTS] == [20, 5, 10]
    assert counts["law"] == {
        "given": 60, "duplicate": 0, "shared": 0, "groups": 60, "largest_group": 1,
        "train": 20, "validation": 5, "test": 10, "unused": 25,
    }  # fmt: skip
    more, _ = split(domains, 30, 5, 10, seed=0)
    assert more["law"]["train"][:20] == parts["law"]["train"]
    assert more["law"]["test"] == parts["law"]["test"]
    assert split(domains, 20, 5, 10, seed=1)[0]["law"]["test"] != parts["law"]["test"]
    alone, _ = split({"law": domains["law"]}, 20, 5, 10, seed=0)
    assert alone["law"] == parts["law"]


def test_records_of_a_group_of_several_are_named_by_it() -> None:
    """By the smallest of their ids, over domains; a test set is resampled by these."""
    documents = [make_record(f"q{i}", "", f"a{i}", group=f"document {i // 3}") for i in range(30)]
    others = [make_record(f"x{i}", "", f"y{i}") for i in range(30)]
    parts, _ = split({"law": documents, "tax": others}, None, 3, 6, 0)
    ids = {record.id: record.group for record in documents}
    for part in parts["law"].values():
        for record in part:
            assert record.connected == min(id_ for id_, group in ids.items() if group == record.group)
    assert {record.connected for part in parts["tax"].values() for record in part} == {""}


def test_groups_connect_through_others_and_ignore_case_and_space() -> None:
    chain = [
        make_record("Q1", "", LONG.format("one")),
        make_record("Q2", "", LONG.format("One").replace(" ", "  ") + "\n"),
        make_record("q2 ", "", "B", group="document"),
        make_record("Q4", "", "C", group="document"),
    ]
    groups = connected_groups({"x": chain[:2], "y": [*chain[2:], make_record("Q5", "", "D")]})
    assert sorted(len(group) for group in groups) == [1, 4]


def test_a_dropped_record_still_connects() -> None:
    bridge = make_record("Q", "", "A", group="one")
    records = [bridge, make_record("Q", "", "A", group="two"), *plain_records("law", 20)]
    records += [make_record(f"Q{g}{i}", "", f"A{g}{i}", group=g) for g in ("one", "two") for i in range(2)]
    for seed in range(20):
        parts, counts = split({"law": records}, None, 5, 10, seed)
        places = {part for part in PARTS for record in parts["law"][part] if record.group}
        assert len(places) == 1
        assert (counts["law"]["largest_group"], counts["law"]["duplicate"]) == (5, 1)


def test_prompts_with_other_inputs_are_not_connected() -> None:
    records = [make_record("Summarise.", f"text {i}", f"summary {i}") for i in range(5)]
    assert len(connected_groups({"x": records})) == 5


def test_conversations_are_connected_by_their_opening_and_all_their_answers() -> None:
    def conversation(opening: str, answer: str) -> Record:
        return make_record("Go on", "", "You are welcome", turns=[Turn("user", opening), Turn("assistant", answer)])

    records = [
        conversation("Q1", "A"),
        conversation("q1 ", "B"),
        conversation("Q2", LONG.format("C")),
        conversation("Q3", LONG.format("c")),
        make_record("Q3", "", "D"),
        make_record("Go on", "", "E"),
    ]
    groups = [{record.id for _, record in group} for group in connected_groups({"x": records})]
    ids = [record.id for record in records]
    assert sorted(groups, key=len) == [{ids[5]}, {*ids[:2]}, {*ids[2:5]}]


def test_a_shared_record_goes_to_the_smaller_domain() -> None:
    twin = make_record("Q", "", "A")
    law = [twin, make_record("In law, what?", "", "Gloss", "WordNet", "bond.n.01"), *plain_records("law", 3)]
    finance = [twin, make_record("In finance, what?", "", "gloss", "WordNet", "bond.n.01")]
    owned, counts = assign_shared({"law": law, "finance": finance})
    assert sorted(owned["finance"], key=lambda r: r.id) == sorted(finance, key=lambda r: r.id)
    assert len(owned["law"]) == 3
    assert counts["law"] == {"given": 5, "duplicate": 0, "shared": 2}
    owned, _ = assign_shared({"b": [twin, twin], "a": [twin]})
    assert owned == {"a": [twin], "b": []}


@pytest.mark.parametrize("sources", [("", ""), ("one", "other")])
def test_groups_of_two_sources_may_be_called_alike(sources: tuple[str, str]) -> None:
    law = [make_record("Is it law?", "", "Yes", sources[0], "1")]
    tax = [make_record("Is it due?", "", "Yes", sources[1], "1")]
    owned, counts = assign_shared({"law": law, "tax": tax})
    assert owned == {"law": law, "tax": tax}
    assert [counts[name]["shared"] for name in owned] == [0, 0]


def test_short_answers_connect_nothing() -> None:
    labels = [make_record(f"Q{i}", "", ("Positive", "negative")[i % 2]) for i in range(60)]
    parts, counts = split({"law": labels}, None, 5, 10, 0)
    assert (counts["law"]["groups"], counts["law"]["largest_group"]) == (60, 1)
    assert [len(parts["law"][part]) for part in PARTS] == [45, 5, 10]
    chinese = [
        make_record(f"Q{i}", "", "\u5408\u540c" * length) for length in (7, 8) for i in range(9 * length, 10 * length)
    ]
    assert sorted(map(len, connected_groups({"law": chinese}))) == [1] * 7 + [8]


def test_sites_with_equal_short_answers_stay_apart() -> None:
    """As in PolicyQA: spans of a few words as answers, grouped by the site that the question is about."""
    records = [
        make_record(f"What of {site}, {i}?", "", ("your email", "we may share it", "no")[i % 3], group=f"site{site}")
        for site in range(30)
        for i in range(7 + site % 5)
    ]
    parts, counts = split({"policy": records}, None, 30, 60, 0)
    assert counts["policy"]["groups"] == 30
    assert all(abs(counts["policy"][part] - wanted) <= 5 for part, wanted in (("validation", 30), ("test", 60)))
    sites = [{record.group for record in parts["policy"][part]} for part in PARTS]
    assert not any(one & other for one, other in combinations(sites, 2))


@pytest.mark.parametrize(("test", "expected"), [(4, 5), (5, 5), (6, 5), (7, 5), (8, 10), (10, 10)])
def test_sizes_are_as_near_as_groups_allow(test: int, expected: int) -> None:
    records = [make_record(f"Q{g}{i}", "", f"A{g}{i}", group=str(g)) for g in range(8) for i in range(5)]
    parts, counts = split({"law": records}, None, 2, test, 0)
    assert len(parts["law"]["test"]) == counts["law"]["test"] == expected
    # A split that was asked for is not left empty.
    assert counts["law"]["validation"] == 5
    assert counts["law"]["train"] == 35 - expected


def test_too_few_records_are_told_with_numbers() -> None:
    with pytest.raises(GradsError, match=r"test of domain 'law' got 6 of the 10 records asked, from 6 usable"):
        split({"law": plain_records("law", 6)}, None, 0, 10, 0)
    with pytest.raises(GradsError, match=r"train of domain 'law' got 16 of the 17 records"):
        split({"law": plain_records("law", 20)}, 17, 2, 2, 0)
    with pytest.raises(GradsError, match=r"train of domain 'law' got 0 of the 1 records"):
        split({"law": plain_records("law", 4)}, None, 2, 2, 0)
    same = [make_record(f"Q{i}", "", LONG.format("all")) for i in range(30)]
    with pytest.raises(GradsError, match=r"30 usable ones in 1 groups .* the largest of 30"):
        split({"law": same}, None, 0, 10, 0)


def test_groups_that_do_not_fit_are_passed_over_for_those_that_do() -> None:
    """A group of four cannot go to a test set of three, and must not end the filling of it."""
    big = [make_record(f"Q{i}", "", LONG.format("all")) for i in range(4)]
    for seed in range(10):
        parts, counts = split({"law": [*big, *plain_records("law", 6)]}, None, 0, 3, seed)
        assert len(parts["law"]["test"]) == 3
        assert {record.id for record in big} <= {record.id for record in parts["law"]["train"]}
        assert (counts["law"]["groups"], counts["law"]["largest_group"], counts["law"]["unused"]) == (7, 4, 0)


def test_validation_takes_whole_groups_that_test_left() -> None:
    pairs = [make_record(f"Q{g}{i}", "", LONG.format(g)) for g in range(6) for i in range(2)]
    parts, _ = split({"law": pairs}, None, 4, 4, seed=0)
    answers = {part: {record.output for record in parts["law"][part]} for part in PARTS}
    assert [len(answers[part]) for part in PARTS] == [2, 2, 2]
    assert not answers["train"] & answers["test"] | answers["train"] & answers["validation"]


def test_another_domain_does_not_move_a_domains_test_set() -> None:
    law = plain_records("law", 40)
    alone, _ = split({"law": law}, None, 4, 8, seed=3)
    together, _ = split({"law": law, "tax": plain_records("tax", 25), "art": plain_records("art", 30)}, None, 4, 8, 3)
    assert together["law"] == alone["law"]


def test_a_further_right_answer_connects_as_an_answer_does() -> None:
    records = [
        make_record("Q1", "", "A", references=[LONG.format("B")]),
        make_record("Q2", "", LONG.format("b")),
        make_record("Q3", "", LONG.format("C")),
    ]
    groups = connected_groups({"law": records})
    assert sorted(sorted(record.instruction for _, record in group) for group in groups) == [["Q1", "Q2"], ["Q3"]]
