"""Which gradient signals a method reads: where they are taken, of which layers, and how a layer becomes one number.

And which embeddings stand for the content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field

from grads.signals.names import SENTENCES
from grads.study.paths import encoder_store

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Point = Literal["warm", "base", "during"]
# Where projected gradients are taken.
FeaturePoint = Literal["warm", "base"]
# Layers of whose gradients there are all statistics, and with those of which there is the norm alone.
Layer = Literal["embedding", "head", "adapter"]
NormLayer = Literal[Layer, "weights"]
Listed = TypeVar("Listed", bound=str)


def once(what: str) -> Callable[[list[Listed]], list[Listed]]:
    """Return what refuses a list that has an entry twice; `what` is how the error calls an entry."""

    def check(names: list[Listed]) -> list[Listed]:
        if len(set(names)) < len(names):
            raise ValueError(f"a {what} that is listed twice would count twice: remove one")
        return names

    return check


NormLayers = Annotated[list[NormLayer], Field(min_length=1), AfterValidator(once("layer"))]
Reduction = Literal["l2", "mean_abs", "std", "range", "vector"]
Combination = Literal["sum", "zsum", "product", "joint", "embedding", "head"]

# What stands for a record where records are compared: what the model makes of it, or its projected gradient.
Content = Literal["hidden", "gradients"]
# What `ratio: auto` counts: combined norms near their mean, or records chosen before a score below the scores' mean.
Cut = Literal["norms", "score"]

# Whose length: the answers' that carry loss, the prompt's, or both together.
LengthField = Literal["response", "prompt", "whole"]

# Decimals of what is ranked that count; what lies below is rounding, and must not decide between equals.
DECIMALS = 6
POINTS: tuple[str, ...] = get_args(Point)
LENGTHS: dict[LengthField, list[str]] = {
    "response": ["response_tokens"],
    "prompt": ["prompt_tokens"],
    "whole": ["prompt_tokens", "response_tokens"],
}
# What `reduction: vector` compares instead of one number.
VECTOR = ("max", "min", "mean", "std")


def gradient_measures(layers: Sequence[NormLayer], mean_abs: bool = False) -> frozenset[str]:
    """Return what a store must hold for statistics of the given layers' gradients."""
    measures = {"gradients"} | ({"adapter", "weights"} & set(layers)) | ({"mean_abs"} if mean_abs else set())
    return frozenset(measures)


def content(encoder: str | None, kind: Content = "hidden", point: Point = "base") -> tuple[str, str]:
    """Return the store of the vectors that records are compared by, and what they are called in it.

    Those of the encoder where there is one; else hidden states of the untrained model, or gradients at `point`.
    """
    if encoder is not None:
        return encoder_store(encoder), SENTENCES
    return ("base", "hidden") if kind == "hidden" else (point, "sgd_features")


def check_content(encoder: str | None, kind: Content, point: Point) -> None:
    """Refuse what records cannot be compared by.

    Raises:
        ValueError: it is to be an encoder's and a gradient, or a gradient where no projection is taken.
    """
    if kind == "gradients" and encoder is not None:
        raise ValueError("content 'gradients' has no encoder: remove one of the two")
    if kind == "gradients" and point not in get_args(FeaturePoint):
        raise ValueError(
            f"there are no projected gradients at '{point}': set point to warm or base, or content to hidden"
        )


def gradient_norm(statistics: pd.DataFrame, layers: Sequence[NormLayer]) -> np.ndarray:
    """Return N l2 norms of the gradient with respect to all parameters of the given layers together."""
    import numpy as np

    return np.sqrt(np.square(statistics[[f"{layer}_l2" for layer in layers]].to_numpy(dtype=float)).sum(axis=1))


def reduced(statistics: pd.DataFrame, layer: NormLayer, reduction: Reduction) -> np.ndarray:
    """Return N numbers, one gradient of a layer each: l2 norm, mean |g|, standard deviation, or max - min."""
    if reduction == "range":
        return (statistics[f"{layer}_max"] - statistics[f"{layer}_min"]).to_numpy(dtype=float)
    return statistics[f"{layer}_{reduction}"].to_numpy(dtype=float)


def magnitude(
    statistics: pd.DataFrame, layers: Sequence[NormLayer], reduction: Reduction, how: Combination
) -> np.ndarray:
    """Return N numbers, the layers' reduced gradients combined; all rules but these are documented with the method.

    `sum` and `product` are over the layers; `zsum` sums deviations from the mean in standard deviations, where a layer
    that does not vary adds nothing; the name of a layer is that layer alone.
    """
    import numpy as np

    if how in ("embedding", "head"):
        return reduced(statistics, how, reduction)
    values = np.stack([reduced(statistics, layer, reduction) for layer in layers])
    if how == "zsum":
        return deviations(values)
    return values.prod(axis=0) if how == "product" else values.sum(axis=0)


def deviations(values: np.ndarray) -> np.ndarray:
    """Return N sums over L x N numbers of each row's deviations from its mean, in its standard deviations."""
    import numpy as np

    spread = values.std(axis=1, keepdims=True)
    return ((values - values.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)).sum(axis=0)


def logarithms(magnitudes: np.ndarray) -> np.ndarray:
    """Return the logarithms of N numbers of at least 0; a 0, which has none, takes that of the smallest of the others.

    A gradient vanishes where an answer is certain to the last digit of float32. If all do, their logarithms are 0.
    """
    import numpy as np

    positive = magnitudes[magnitudes > 0]
    return np.log(np.maximum(magnitudes, positive.min() if len(positive) else 1.0))


def points_of(
    statistics: pd.DataFrame, layers: Sequence[NormLayer], reduction: Reduction, how: Combination
) -> np.ndarray:
    """Return N x d coordinates for a joint density: a column per layer, or the four of `vector` per layer."""
    import numpy as np

    if how in ("embedding", "head"):
        layers = [how]
    if reduction == "vector":
        return statistics[[f"{layer}_{name}" for layer in layers for name in VECTOR]].to_numpy(dtype=float)
    return np.stack([reduced(statistics, layer, reduction) for layer in layers], axis=1)


def count_near_the_mean(norms: np.ndarray) -> int:
    """Return how many of N combined norms have a logarithm within one standard deviation of the logarithms' mean.

    The rule of `ratio: auto`. Norms of 0 have no logarithm and count neither for mean and deviation nor as within. At
    least 1 is returned.
    """
    import numpy as np

    logs = np.log(norms[norms > 0])
    if not len(logs):
        return 1
    # A rounding's width more, so that equal norms, whose deviation is rounding, all count.
    within = np.abs(logs - logs.mean()) <= logs.std() + 1e-9
    return max(1, int(within.sum()))


def rank_share(values: np.ndarray) -> np.ndarray:
    """Return rank / N of each value, 1 for the highest; values equal to six decimals share their average rank."""
    import numpy as np
    from scipy.stats import rankdata

    return rankdata(np.round(values, DECIMALS)) / len(values)


def count_to_the_mean(scores: np.ndarray) -> int:
    """Return how many of N scores, in the order in which the records are chosen, come before one below their mean.

    The rule of `cut: score`. A rounding's width counts as nothing, so that equal scores all count.
    """
    import numpy as np

    mean = float(np.mean(scores))
    below = scores < mean - 1e-9 * abs(mean)
    return int(np.argmax(below)) if below.any() else len(scores)


def lengths(pool: pd.DataFrame, field: LengthField) -> np.ndarray:
    """Return N numbers of tokens."""
    return pool[LENGTHS[field]].to_numpy(dtype=float).sum(axis=1)


def below(score: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Return N scores in which those marked stand below all others; within each part the differences stay."""
    import numpy as np

    return np.where(marked, score - (np.ptp(score) + 1.0), score)


def highest(score: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the highest of N scores among those allowed, at most `count`, ties by position."""
    import numpy as np

    order = np.argsort(-score, kind="stable")
    return order[allowed[order]][:count]
