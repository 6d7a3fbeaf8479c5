"""Many records: batches put together in order, and records that are refused."""

from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

from grads.data.records.formatting import Example
from grads.probing.measure import check_examples, measure
from grads.runtime.errors import GradsError
from grads.runtime.progress import Progress
from grads.signals.columns import columns
from grads.signals.names import MEASURES, VECTORS


def test_results_are_in_the_order_of_the_records(llama: nn.Module, examples: list[Example]) -> None:
    wanted = {"gradients", "token_losses", "embeddings"}
    forward, backward = (measure(llama, some, wanted, 50, 0) for some in (examples, examples[::-1]))
    np.testing.assert_allclose(backward.columns["head_l2"][::-1], forward.columns["head_l2"], rtol=1e-4)
    np.testing.assert_allclose(backward.vectors["embeddings"][::-1], forward.vectors["embeddings"], atol=1e-5)
    assert [len(part) for part in forward.token_losses] == [len(part) for part in backward.token_losses[::-1]]
    assert len(set(forward.columns["head_l2"])) == len(examples)
    for example, losses, mean in zip(examples, forward.token_losses, forward.columns["response_nll"], strict=True):
        assert losses.dtype == np.float32
        assert len(losses) == example.response_tokens
        assert losses.mean() == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("wanted", VECTORS[:4])
def test_vectors_without_a_column(wanted: str, llama: nn.Module, examples: list[Example]) -> None:
    found = measure(llama, examples, {wanted}, 50, 0)
    assert found.columns == {}
    assert found.vectors[wanted].shape == (len(examples), 32)
    assert np.isfinite(found.vectors[wanted]).all()


def test_no_examples_no_rows(llama: nn.Module) -> None:
    found = measure(llama, [], {"gradients", "prompt"}, 100, 0)
    assert tuple(found.columns) == columns({"gradients", "prompt"})
    assert all(len(values) == 0 for values in found.columns.values())


def test_progress_counts_records(llama: nn.Module, examples: list[Example]) -> None:
    progress = Progress("probe", len(examples))
    done: list[int] = []
    progress.advance = done.append  # type: ignore[method-assign]
    measure(llama, examples, {"losses"}, 60, 0, progress)
    assert sum(done) == len(examples)
    assert len(done) > 1


@pytest.mark.parametrize("example", [Example("empty", [4, 5], 2), Example("empty", [4], 0), Example("empty", [], 0)])
def test_a_record_without_a_response_is_named(llama: nn.Module, examples: list[Example], example: Example) -> None:
    with pytest.raises(GradsError, match="record empty has no response token to learn from: remove it or fix"):
        measure(llama, [*examples, example], {"losses"}, 100, 0)


@pytest.mark.parametrize("name", ["llama-tied", "gpt2-tied"])
def test_a_record_longer_than_the_context_is_named(
    name: str, build: Callable[..., nn.Module], examples: list[Example]
) -> None:
    whole, longer = (Example(f"of-{size}", [5] * size, 3) for size in (64, 65))
    measure(build(name), [whole], {"losses"}, 100, 0)
    with pytest.raises(GradsError, match=r"record of-65 has 65 tokens and the model's context 64: set training\.max"):
        measure(build(name), [*examples, longer], {"losses"}, 100, 0)


def test_a_prompt_of_which_nothing_is_predicted_has_no_loss(llama: nn.Module) -> None:
    for prompt in (0, 1):
        bare = [Example("bare", [5, 6, 7], prompt)]
        with pytest.raises(GradsError, match=rf"record bare has a prompt of {prompt} tokens, none of which"):
            check_examples(bare, {"prompt"})
        found = measure(llama, bare, {"losses", "unconditional", "el2n"}, 100, 0).columns
        # Without its prompt it is what it was.
        np.testing.assert_allclose(found["unconditional_nll"], found["response_nll"], rtol=1e-5)


def test_names_of_columns() -> None:
    assert columns({"losses"}) == columns({"token_losses"}) == ("response_nll",)
    assert columns({"hidden", "layer_hidden"}) == ()
    assert len(set(columns(MEASURES))) == len(columns(MEASURES)) == 3 * 6 + 2 + 5
