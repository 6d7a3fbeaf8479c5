"""Rows of branching sequences against each sequence by itself."""

import copy

import pytest
import torch

from grads.models.branches import SHARED, branches, longest_row, row_of, row_states
from grads.models.causal import hidden_states
from grads.models.cpu.attention import BLOCK
from grads.models.cpu.branching import branching_attention, branching_attention_backward
from grads.models.cpu.interface import quick_attention
from tests.models.cpu.test_attention import plain
from tests.probing.conftest import add_adapter, build_model

START = list(range(5, 5 + SHARED))
SEQUENCES = [
    [*START, 30, 31, 32],
    [*START, 40, *range(50, 50 + SHARED), 7, 8],
    [*START, 40, *range(50, 50 + SHARED), 9],
    [60, 61],
    [*START],
    [*START, 30, 31, 32],
]
GRADIENTS = ("llama-tied", "qwen2-untied", "qwen3-tied", "gpt2-tied", "gpt_neox-untied", "phi-untied")


def test_a_row_holds_each_sequence_and_what_is_shared_once():
    row = row_of(SEQUENCES)
    for sequence, places in zip(SEQUENCES, row.places, strict=True):
        assert row.ids[places].tolist() == sequence
        assert row.positions[places].tolist() == list(range(len(sequence)))
    # The start, 40 and what follows it, three ends of the first and second kind, their twins' ends, and 60 61.
    assert len(row.ids) == SHARED + (1 + SHARED) + 3 + 3 + 2 + 1 + 2
    assert row.nodes[0].tolist() == [0, SHARED, 0]


@pytest.mark.parametrize("seed", range(5))
def test_any_sequences_are_held_whole(seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 40, (12,), generator=generator).tolist()
    sequences = [(torch.rand(length, generator=generator) < 0.05).int().tolist() for length in lengths]
    row = row_of(sequences)
    assert [row.ids[places].tolist() for places in row.places] == sequences
    assert sorted(place for start, stop, _ in row.nodes.tolist() for place in range(start, stop)) == list(
        range(len(row.ids))
    )
    assert all(parent <= number for number, (_, _, parent) in enumerate(row.nodes.tolist()))


@pytest.mark.parametrize("lengths", [(3, 4, 5), (BLOCK + 3, 2, BLOCK), (1, 1, 1)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_attention_and_its_gradients_are_those_of_each_sequence(lengths, groups):
    root, one, other = lengths
    stops = torch.tensor(lengths).cumsum(0).tolist()
    nodes = torch.tensor([[0, stops[0], 0], [stops[0], stops[1], 0], [stops[1], stops[2], 0]])
    generator = torch.Generator().manual_seed(root)
    inputs = [torch.randn(1, heads, stops[2], 6, generator=generator).requires_grad_() for heads in (4, groups, groups)]
    weights = torch.randn(1, 4, stops[2], 6, generator=generator)
    found = branching_attention(*inputs, nodes, 0.4)
    gradients = torch.autograd.grad((found * weights).sum(), inputs)
    expected = torch.zeros_like(found)
    paths = [list(range(root)), [*range(root), *range(stops[0], stops[1])], [*range(root), *range(stops[1], stops[2])]]
    for path, own in zip(paths, (root, one, other), strict=True):
        alone = plain(*(tensor[:, :, path] for tensor in inputs), 0.4)
        expected = expected.index_copy(2, torch.tensor(path[-own:]), alone[:, :, -own:])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)
    for gradient, right in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-5)


def test_a_compiler_is_told_the_right_shapes():
    nodes = torch.tensor([[0, 4, 0], [4, 9, 0], [9, 11, 1]])
    inputs = [torch.randn(1, heads, 11, 6) for heads in (4, 2, 2)]
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(branching_attention, (*inputs, nodes, 0.3), test_utils=checks)
    result = branching_attention(*inputs, nodes, 0.3)
    given = (torch.randn_like(result), *inputs, nodes, 0.3)
    torch.library.opcheck(branching_attention_backward, given, test_utils=checks)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_model_computes_a_row_as_it_computes_each_sequence(name):
    model = add_adapter(build_model(name, "sdpa"))
    with quick_attention(model.get_base_model()):
        assert branches(model, SEQUENCES)
        row = row_of(SEQUENCES)
        states = row_states(model, row)
        for sequence, places in zip(SEQUENCES, row.places, strict=True):
            alone = hidden_states(model, input_ids=torch.tensor([sequence]), use_cache=False)[0]
            torch.testing.assert_close(states[places], alone, rtol=1e-4, atol=1e-4)


def test_a_model_of_another_attention_is_left_as_it_is():
    for name in ("llama-tied", "gemma2-tied"):
        eager = build_model(name, "eager")
        with quick_attention(eager):
            assert not branches(eager, SEQUENCES)


def test_a_layer_that_is_not_plainly_causal_is_found_out(monkeypatch):
    model = build_model("llama-tied", "sdpa")
    with quick_attention(model):
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = 0.1
        assert branches(model, SEQUENCES)
        model.train()
        assert not branches(model, SEQUENCES)


def test_a_model_that_reads_no_positions_is_found_out():
    model = build_model("gpt2-tied", "sdpa")
    deaf = copy.deepcopy(model)
    inner = deaf.transformer.forward
    deaf.transformer.forward = lambda position_ids=None, **inputs: inner(**inputs)
    with quick_attention(deaf):
        assert not branches(deaf, SEQUENCES)


def test_no_sequence_of_a_row_is_longer_than_a_window():
    assert longest_row(build_model("mistral-tied", "sdpa")) == 8
    assert longest_row(build_model("llama-tied", "sdpa")) == 1024
