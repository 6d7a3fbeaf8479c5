"""Random projections against explicit matrices, the generator's published definition, and their variance."""

import hashlib
import itertools
import math

import pytest
import torch

from grads.config.features import Features
from grads.probing.gradients.projection import (
    Dense,
    Kronecker,
    arithmetic,
    chosen_modules,
    dense_cost,
    make_projection,
    rademacher,
)
from grads.runtime.errors import GradsError

# Both sides wider than the sizes used below, one side, none.
SHAPES = {"wide": (12, 20), "low.lora_A": (3, 20), "high.lora_B": (12, 3), "tiny": (2, 3)}
WORD = 2**64 - 1


def philox(key: int, counter: int) -> list[int]:
    """Return the four words of Philox-4x64-10 for one counter, after Salmon et al. (SC 2011), section 3.3."""
    words = [counter & WORD, counter >> 64 & WORD, 0, 0]
    keys = [key & WORD, key >> 64]
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * words[0], 0xCA5A826395121157 * words[2]
        words = [second >> 64 ^ words[1] ^ keys[0], second & WORD, first >> 64 ^ words[3] ^ keys[1], first & WORD]
        keys = [keys[0] + 0x9E3779B97F4A7C15 & WORD, keys[1] + 0xBB67AE8584CAA73B & WORD]
    return words


def gradients(records: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return gradients of rank 2 for each module, records x outputs x inputs."""
    torch.manual_seed(seed)
    return {
        name: torch.randn(records, outputs, 2) @ torch.randn(records, 2, inputs)
        for name, (outputs, inputs) in SHAPES.items()
    }


def flat(given: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([given[name].flatten(1) for name in sorted(given)], dim=1)


def vectors(projection: Kronecker | Dense, given: dict[str, torch.Tensor]) -> torch.Tensor:
    if isinstance(projection, Dense):
        return projection.join({name: projection.project(name, value.flatten(1)) for name, value in given.items()})
    return projection.join({name: projection.project(name, value) for name, value in given.items()})


def test_the_signs_are_those_of_the_published_generator():
    key = int.from_bytes(hashlib.sha256(b"7\x1flayers.0.q_proj").digest()[:16], "little")
    # The counter starts at 1; a row of 70 columns takes nine bytes.
    stream = b"".join(word.to_bytes(8, "little") for counter in (1, 2) for word in philox(key, counter))
    rows = [int.from_bytes(stream[9 * row : 9 * row + 9], "little") for row in range(6)]
    expected = [[1.0 if bits >> column & 1 else -1.0 for column in range(70)] for bits in rows]
    assert rademacher(7, "layers.0.q_proj", 6, 70).tolist() == expected


@pytest.mark.parametrize("columns", [1, 64, 70, 200])
def test_any_part_of_the_signs_can_be_made_alone(columns):
    whole = rademacher(0, "a", 11, columns)
    for first in range(11):
        assert torch.equal(rademacher(0, "a", 2, columns, first)[: 11 - first], whole[first : first + 2])


def test_different_names_and_seeds_are_uncorrelated():
    count = 2**16
    drawn = [rademacher(seed, name, 256, 256).flatten() for seed, name in itertools.product((0, 1), ("a", "b", "a.b"))]
    assert all(set(signs.unique().tolist()) == {-1.0, 1.0} for signs in drawn)
    assert all(abs(signs.mean()) < 5 / math.sqrt(count) for signs in drawn)
    for one, other in itertools.combinations(drawn, 2):
        assert abs((one * other).mean()) < 5 / math.sqrt(count)


@pytest.mark.parametrize("pooled", [False, True])
def test_two_sides_are_one_kronecker_product(pooled):
    projection, given = Kronecker(4, 5, pooled), gradients(3)
    found = {name: projection.project(name, value) for name, value in given.items()}
    for name, (outputs, inputs) in SHAPES.items():
        left, right = projection.sides(name, outputs, inputs)
        explicit = given[name].flatten(1) @ torch.kron(left, right)
        torch.testing.assert_close(found[name], explicit)
        assert left.shape[1] == (4 if pooled else min(4, outputs))
    parts = [found[name] for name in sorted(SHAPES)]
    torch.testing.assert_close(projection.join(found), sum(parts) if pooled else torch.cat(parts, dim=1))
    assert projection.join(found).shape == (3, projection.dimensions(SHAPES.values()))


def test_entries_are_scaled_signs_and_narrow_sides_lose_nothing():
    left, right = Kronecker(4, 0).sides("m", 12, 3)
    assert left.abs().unique().tolist() == [0.5]
    assert torch.equal(right, torch.eye(3))
    _, padded = Kronecker(4, 0, pooled=True).sides("m", 12, 3)
    assert padded.shape == (3, 4)
    assert torch.equal(padded @ padded.T, torch.eye(3))
    # Narrow sides of different modules have signs of their own, or pooling would correlate the modules.
    diagonals = [Kronecker(4, 0, pooled=True).sides(name, 12, 3)[1].diagonal().tolist() for name in "abcdefgh"]
    assert {sign for signs in zip(*diagonals, strict=True) for sign in signs} == {-1.0, 1.0}
    assert len({tuple(signs) for signs in diagonals}) > 2


def test_a_dense_projection_is_its_explicit_matrix():
    given = gradients(3)
    matrix = torch.cat([rademacher(2, name, given[name][0].numel(), 70) for name in sorted(SHAPES)]) / math.sqrt(70)
    torch.testing.assert_close(vectors(Dense(70, 2), given), flat(given) @ matrix, rtol=1e-4, atol=1e-4)


def test_blocks_and_what_is_kept_of_them_change_no_vector():
    given = gradients(3)
    expected = vectors(Dense(70, 2), given)
    for rows, kept in ((1, 0), (7, 0), (50, 20_000), (50, 2**20)):
        projection = Dense(70, 2, block_bytes=rows * 280, kept_bytes=kept)
        for _ in range(2):
            torch.testing.assert_close(vectors(projection, given), expected, rtol=1e-4, atol=1e-4)
        assert projection.kept() <= kept
        assert (projection.kept() > 0) == (kept > 0)


PROJECTIONS = [Kronecker(4, 3), Kronecker(4, 3, pooled=True), Dense(64, 3)]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=["kronecker", "pooled", "dense"])
def test_the_order_of_modules_and_other_records_change_no_vector(projection):
    given = gradients(5)
    expected = vectors(projection, given)
    backwards = {name: given[name] for name in sorted(given, reverse=True)}
    assert torch.equal(vectors(projection, backwards), expected)
    alone = {name: value[2:3] for name, value in given.items()}
    torch.testing.assert_close(vectors(projection, alone), expected[2:3])


@pytest.mark.parametrize("projection", PROJECTIONS, ids=["kronecker", "pooled", "dense"])
def test_another_seed_is_another_projection(projection):
    given = gradients(1)
    other = Dense(64, 4) if isinstance(projection, Dense) else Kronecker(4, 4, projection.pooled)
    assert not torch.allclose(vectors(projection, given), vectors(other, given))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_changes_no_sign():
    assert torch.equal(rademacher(0, "a", 30, 70, 5, "cuda").cpu(), rademacher(0, "a", 30, 70, 5))
    given = gradients(3)
    for projection in PROJECTIONS:
        moved = vectors(projection, {name: value.cuda() for name, value in given.items()}).cpu()
        torch.testing.assert_close(moved, vectors(projection, given), rtol=1e-4, atol=1e-4)


def test_dense_vectors_keep_inner_products_within_the_bound_of_johnson_and_lindenstrauss():
    dimension, given = 512, gradients(16)
    full, found = flat(given).double(), vectors(Dense(dimension, 0), given).double()
    pairs = 16 * 15 // 2
    # Achlioptas (2003): the eps at which all pairs together fail in one of a hundred draws.
    failure = 0.01 / (4 * pairs)
    eps = next(e / 1000 for e in range(1, 1000) if _achlioptas(e / 1000, dimension) <= failure)
    assert eps < 0.35
    lengths = full.norm(dim=1)
    error = (found @ found.T - full @ full.T).abs() / (lengths.unsqueeze(1) * lengths)
    assert error.max() <= eps


def _achlioptas(eps: float, dimension: int) -> float:
    return math.exp(-(eps**2 / 2 - eps**3 / 3) * dimension / 2)


@pytest.mark.parametrize(
    ("make", "bound", "shapes"),
    [
        # (4 k + 5) / k^2 with k = 4: its proof is with the class.
        (lambda seed: Kronecker(4, seed), 21 / 16, ["wide"]),
        (lambda seed: Kronecker(4, seed), 2 / 4, ["low.lora_A"]),
        (lambda seed: Kronecker(4, seed), 0.0, ["tiny"]),
        (lambda seed: Kronecker(4, seed, pooled=True), 21 / 16, ["wide", "low.lora_A", "high.lora_B"]),
        (lambda seed: Dense(64, seed), 2 / 64, list(SHAPES)),
    ],
    ids=["both sides", "one side", "no side", "pooled", "dense"],
)
def test_inner_products_are_kept_in_expectation_with_the_variance_that_is_proved(make, bound, shapes):
    draws = 300
    given = {name: value for name, value in gradients(6).items() if name in shapes}
    full = flat(given).double()
    full = full / full.norm(dim=1, keepdim=True)
    unit = {name: value / flat(given).norm(dim=1).view(-1, 1, 1) for name, value in given.items()}
    found = torch.stack([vectors(make(seed), unit).double() for seed in range(draws)])
    error = found @ found.mT - full @ full.T
    # A mean of `draws` errors, five standard deviations; the variance of some pair comes within a tenth of its bound.
    assert error.mean(dim=0).abs().max() <= 5 * math.sqrt(bound / draws) + 1e-6
    variance = error.square().mean(dim=0).max()
    assert bound / 10 <= variance + 1e-6
    assert variance <= bound * 1.1 + 1e-6


def test_the_config_says_which_projection():
    dense = make_projection(Features(projection="dense", dimension=70, seed=2))
    assert isinstance(dense, Dense)
    assert (dense.dimension, dense.seed) == (70, 2)
    kronecker = make_projection(Features(size=4, pooled=True, seed=3))
    assert isinstance(kronecker, Kronecker)
    assert (kronecker.size, kronecker.pooled, kronecker.seed) == (4, True, 3)


def test_sizes_that_are_none_are_refused():
    with pytest.raises(GradsError, match=r"probe\.features\.size is 0: give a whole number of at least 1"):
        Kronecker(0, 0)
    with pytest.raises(GradsError, match=r"probe\.features\.dimension is -1"):
        Dense(-1, 0)


def test_modules_are_chosen_by_patterns_of_their_names():
    names = [f"model.layers.{layer}.self_attn.{part}" for layer in (0, 1, 10) for part in ("q_proj", "v_proj")]
    assert chosen_modules(names, ["*"]) == names
    assert chosen_modules(names, ["*.layers.1.*", "*.10.*.q_proj"]) == [names[2], names[3], names[4]]
    with pytest.raises(
        GradsError,
        match=r"none of the modules whose gradients are taken matches 'q_proj': .* 'model\.layers\.0\.self_attn",
    ):
        chosen_modules(names, ["*", "q_proj"])


def test_a_projection_that_costs_more_than_the_pass_needs_the_switch():
    assert arithmetic(entries=1000, dimension=64, records=3) == (192_000, 256_000)
    # 2 x 600 x 160 = 192,000 too: as much as the pass is not more.
    equal = {"entries": 1000, "dimension": 64, "records": 3, "parameters": 600, "tokens": 160}
    assert "1 times the 2 x 600 parameters x 160 tokens" in dense_cost(**equal)
    dear = equal | {"tokens": 16}
    with pytest.raises(
        GradsError, match=r"1\.9e\+05 .* 10 times .*: set probe\.features\.allow_costly to true"
    ) as caught:
        dense_cost(**dear)
    assert "\n" not in str(caught.value)
    assert "10 times" in dense_cost(**dear, allow_costly=True)
