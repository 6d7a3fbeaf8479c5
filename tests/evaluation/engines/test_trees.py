"""Sequences that begin alike share the places of their beginning, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from grads.evaluation.engines.trees import LARGEST, plant

SEQUENCES = st.dictionaries(
    st.integers(0, 50), st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=12
)


@given(SEQUENCES, st.integers(1, 40))
def test_every_sequence_is_on_one_path_of_one_tree(sequences, largest):
    trees = plant(sequences, largest)
    assert sorted(number for tree in trees for number in tree.paths) == sorted(sequences)
    for tree in trees:
        assert len(tree.paths) == 1 or len(tree.tokens) <= largest
        for number, path in tree.paths.items():
            assert [tree.tokens[place] for place in path] == sequences[number]
            assert [tree.parents[place] for place in path] == [-1, *path[:-1]]
            assert [tree.depths[place] for place in path] == list(range(len(path)))
        assert sorted({place for path in tree.paths.values() for place in path}) == list(range(len(tree.tokens)))
        # No place has two children of one token: what is shared is computed once.
        children = [(parent, token) for parent, token in zip(tree.parents, tree.tokens, strict=True) if parent >= 0]
        assert len(set(children)) == len(children)


def test_the_choices_of_an_item_are_branches_after_its_context():
    context = [5, 6, 7, 8]
    (tree,) = plant({0: [*context, 1, 2], 1: [*context, 3], 2: [*context, 1], 3: context}, LARGEST)
    assert len(tree.tokens) == 4 + 2 + 1
    assert tree.branches
    assert tree.paths[2] == tree.paths[0][:5]
    assert tree.paths[3] == tree.paths[0][:4]


def test_a_word_in_common_makes_no_tree():
    """`Question:` stands in front of all items of a task."""
    trees = plant({0: [1, 2, 3, 4, 5, 6], 1: [1, 7, 8, 9, 5, 6]}, LARGEST)
    assert [tree.branches for tree in trees] == [False, False]


def test_examples_that_items_have_in_common_are_shared():
    shown = list(range(100))
    (tree,) = plant({number: [*shown, 100 + number, 1, 2] for number in range(5)}, LARGEST)
    assert len(tree.tokens) == 100 + 5 * 3
