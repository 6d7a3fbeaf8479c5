"""`python -m benchmarks.agreement`: our methods next to packages of the index that do the same, on equal inputs.

The packages live in an environment of their own, made from `agreement-requirements.txt`. Everything is drawn from
seeds, so that the page comes out again wherever it is made; seconds are not measured.
"""

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from benchmarks.environment import own_python
from grads.data.compared_words import WORD
from grads.runtime.errors import GradsError
from grads.runtime.files import write_json, write_text
from grads.runtime.progress import say
from grads.selection.contract import Choice, Inputs
from grads.selection.registry import find_method, parse_parameters
from grads.signals.vectors import Vectors

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/agreement.md")
CASES = Path("tests/selection/agreement.json")
BEGIN, END = "<!-- made by `make agreement` -->\n", "<!-- end -->\n"
RATIOS = (0.05, 0.3)
LOCATORS = {"apricot-select": "FacilityLocationSelection", "submodlib-py": "FacilityLocationFunction"}
DECIMALS = 6


@dataclass(frozen=True)
class Line:
    """How a method agrees with a package.

    Attributes:
        method: ours.
        package: name of the package in the index.
        function: what of it was called.
        inputs: what both got.
        overlap: by ratio, the share of records that both keep.
        ordered: whether all that was chosen was chosen in the same order; None where there is no order.
        spearman: rank correlation of the scores; None where there are none.
        largest: largest difference of the scores, of greedy choices that of the objective, of densities and objectives
            as a share; None where they are in other units.
        why: what differs, and why.
    """

    method: str
    package: str
    function: str
    inputs: str
    overlap: dict[float, float]
    ordered: bool | None = None
    spearman: float | None = None
    largest: float | None = None
    why: str = ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, and write the page and the cases that tests hold the methods to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=(), help="methods to compare, and nothing is written then")
    options = parser.parse_args(arguments)
    try:
        lines = [line for name, compare in COMPARISONS.items() if not options.only or name in options.only
                 for line in compare()]  # fmt: skip
        versions = peers({"task": "versions"})
    except GradsError as error:
        say(f"error: {error}")
        raise SystemExit(2) from None
    part = markdown(lines, versions)
    say(part)
    if not options.only:
        write_text(PAGE, page(part))
        write_json(CASES, cases())


def peers(request: dict[str, Any]) -> Any:
    """Return what the packages say to a request, in their own environment."""
    python = own_python("agreement")
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "asked.json", Path(folder) / "answered.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        worker = ROOT / "benchmarks" / "agreement_worker.py"
        # Without the worker's folder, whose select.py would stand for Python's own.
        command = [str(python), "-P", str(worker), str(asked), str(answered)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise GradsError(f"a package failed at {request['task']}: {done.stderr.strip().splitlines()[-1]}")
        return json.loads(answered.read_text(encoding="utf-8"))


def made_points(count: int = 300, dimensions: int = 16, seed: int = 0) -> np.ndarray:
    """Return points in five unequal groups, as gradients and embeddings are not spread evenly."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(5, dimensions))
    group = random.choice(5, size=count, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    return np.round(centres[group] + random.normal(scale=0.7, size=(count, dimensions)), DECIMALS)


def made_texts(count: int, seed: int, shift: int = 0) -> list[str]:
    """Return texts of 5 to 60 words, drawn by Zipf's law from 400; `shift` makes other words the frequent ones."""
    random = np.random.default_rng(seed)
    words = [f"w{number}" for number in range(400)]
    weights = 1 / (1 + (np.arange(400) + shift) % 400)
    lengths = random.integers(5, 61, size=count)
    return [" ".join(random.choice(words, size=length, p=weights / weights.sum())) for length in lengths]


def chosen(method: str, inputs: Inputs, **parameters: Any) -> Choice:
    """Return what one of our methods chooses."""
    found = find_method(method)
    choice: Choice = found.select(inputs, parse_parameters(found, parameters))
    return choice


def ids_of(count: int) -> list[str]:
    """Return ids in the order of the records."""
    return [f"r{number:04}" for number in range(count)]


def vector_inputs(points: np.ndarray, store: str, kind: str, count: int, **columns: Any) -> Inputs:
    """Return inputs of vectors that no precision is lost of, and of columns next to them."""
    pool = pd.DataFrame({"id": ids_of(len(points))})
    signals = {"tokens": pool, store: pool.assign(**columns)}
    return Inputs(signals, {store: {kind: Vectors(points.astype(np.float32))}}, {}, count, 0)


def text_inputs(train: Sequence[str], target: Sequence[str], count: int) -> Inputs:
    """Return inputs of texts, whole in the field `instruction`."""
    tables = {
        split: pd.DataFrame({"id": ids_of(len(texts)), "instruction": texts, "input": "", "output": ""})
        for split, texts in (("train", train), ("validation", target))
    }
    return Inputs({"tokens": tables["train"][["id"]]}, {}, {}, count, 0, tables)


def order_of(choice: Choice, count: int) -> list[int]:
    """Return the positions that a choice keeps, the first one first."""
    order = np.argsort(-choice.score, kind="stable") if choice.order is None else choice.order
    return [int(position) for position in order[:count]]


def agreed(ours: dict[float, list[int]], theirs: dict[float, list[int]]) -> tuple[dict[float, float], bool]:
    """Return by ratio the share of ours that they keep too, and whether all orders are equal."""
    shares = {ratio: len(set(ours[ratio]) & set(theirs[ratio])) / len(ours[ratio]) for ratio in ours}
    return shares, all(ours[ratio] == theirs[ratio] for ratio in ours)


def by_scores(ours: np.ndarray, theirs: np.ndarray) -> tuple[dict[float, float], float]:
    """Return by ratio the share that the highest of two scores have in common, and their rank correlation."""
    tops = [{ratio: np.argsort(-one, kind="stable")[: round(ratio * len(one))].tolist() for ratio in RATIOS}
            for one in (ours, theirs)]  # fmt: skip
    return agreed(*tops)[0], float(spearmanr(ours, theirs).statistic)


def facility_location() -> list[Line]:
    """Compare the greedy choice of `craig` and of the second step of `superfiltering`.

    Two records that no third is nearest to gain alike, so that equal gains are common; the objective says whether a
    choice is as good.
    """
    points = made_points()
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    counts = {ratio: round(ratio * len(points)) for ratio in RATIOS}
    lines = []
    for package, function in LOCATORS.items():
        given = [(name, of, "distance") for name, of in (("craig", points), ("superfiltering", units))]
        if package == "submodlib-py":
            given.append(("superfiltering", units, "authors"))
        asked = [
            {"points": of.tolist(), "similarity": similarity, "counts": list(counts.values())}
            for _, of, similarity in given
        ]
        found = peers({"task": "facility_location", "package": package, "asked": asked})
        for (method, of, similarity), orders in zip(given, found, strict=True):
            theirs = dict(zip(counts, orders, strict=True))
            ours = {ratio: order_of(_located(method, of, count), count) for ratio, count in counts.items()}
            shares, ordered = agreed(ours, theirs)
            largest = max(abs(objective(of, theirs[ratio]) / objective(of, ours[ratio]) - 1) for ratio in counts)
            lines.append(
                Line(
                    method,
                    package,
                    f"{function}, {'c - distance' if similarity == 'distance' else 'its euclidean kernel'}",
                    f"300 x 16{', length 1' if method == 'superfiltering' else ''}",
                    shares,
                    ordered,
                    largest=largest,
                    why=_why(ordered, similarity),
                )
            )
    return lines


def _why(ordered: bool, similarity: str) -> str:
    if ordered:
        return ""
    ties = "equal gains, which ours gives to the first in the pool"
    return (
        ties if similarity == "distance" else f"exp(-distance / dimensions), as Superfiltering's script has it; {ties}"
    )


def objective(points: np.ndarray, chosen_: Sequence[int]) -> float:
    """Return F of a choice: how near all points have a chosen one, c less the distance."""
    distances = cdist(points, points)
    return float((distances.max() - distances)[:, list(chosen_)].max(axis=1).sum())


def _located(method: str, points: np.ndarray, count: int) -> Choice:
    if method == "craig":
        return chosen("craig", vector_inputs(points, "warm", "sgd_features", count))
    columns = {"response_nll": 0.5, "unconditional_nll": 1.0}
    inputs = vector_inputs(points, "base", "hidden", count, **columns)
    return chosen("superfiltering", inputs, candidates=float(len(points)))


def bm25() -> list[Line]:
    """Compare BM25 with two packages, on the same words."""
    train, target = made_texts(500, seed=1), made_texts(20, seed=2, shift=5)
    ours = chosen("bm25", text_inputs(train, target, 25)).score
    words = [[re.findall(WORD, text.lower()) for text in texts] for texts in (train, target)]
    lines = []
    reasons = {
        "bm25s": "",
        "rank-bm25": "Okapi's idf, negative for words of most records and then replaced by a share of the mean",
    }
    for package, why in reasons.items():
        asked = {"task": "bm25", "package": package, "documents": words[0], "queries": words[1]}
        theirs = np.array(peers(asked)).mean(axis=1)
        shares, correlation = by_scores(ours, np.round(theirs, DECIMALS))
        largest = float(np.abs(ours - theirs).max()) if package == "bm25s" else None
        function = "BM25(method='lucene')" if package == "bm25s" else "BM25Okapi"
        lines.append(
            Line("bm25", package, function, "500 records, 20 targets", shares, None, correlation, largest, why)
        )
    return lines


def dsir() -> list[Line]:
    """Compare DSIR's log-weights, with the authors' smoothing and with ours."""
    train, target = made_texts(500, seed=3), made_texts(200, seed=4, shift=40)
    theirs = np.array(peers({"task": "dsir", "train": train, "target": target}))
    lines = []
    for smoothing, why in (
        (1e-5, "other hashes, and words that a target lacks weigh a little otherwise"),
        (1.0, "our default, which holds a small target's empty buckets back"),
    ):
        inputs = text_inputs(train, target, 25)
        ours = chosen("dsir", inputs, rule="highest", smoothing=smoothing).score
        shares, correlation = by_scores(ours, theirs)
        function = "HashedNgramDSIR, log-weights"
        inputs_said = f"500 records, 200 targets, smoothing {smoothing:g}"
        lines.append(Line("dsir", "data-selection", function, inputs_said, shares, None, correlation, why=why))
    return lines


def density() -> list[Line]:
    """Compare the densities of `grads_density` with two packages."""
    norms = np.round(np.random.default_rng(5).lognormal(sigma=0.6, size=400), DECIMALS)
    pool = pd.DataFrame({"id": ids_of(len(norms))})
    statistics = pool.assign(embedding_l2=norms, head_l2=0.0)
    inputs = Inputs({"tokens": pool, "warm": statistics}, {}, {}, 20, 0)
    ours = chosen("grads_density", inputs, combination="embedding", scale="log").score
    lines = []
    for package, function in (("scipy", "gaussian_kde"), ("scikit-learn", "KernelDensity, Scott's bandwidth")):
        theirs = np.array(peers({"task": "density", "package": package, "values": np.log(norms).tolist()}))
        shares, correlation = by_scores(ours, theirs)
        largest = float(np.abs(ours / theirs - 1).max())
        inputs_said = "400 logarithms of norms"
        lines.append(Line("grads_density", package, function, inputs_said, shares, None, correlation, largest))
    return lines


def nearness() -> list[Line]:
    """Compare `rep_sim` with cosines of scikit-learn."""
    points, targets = made_points(seed=6), made_points(12, seed=7)
    pool = pd.DataFrame({"id": ids_of(len(points))})
    features = {
        "base": {"hidden": Vectors(points.astype(np.float32))},
        "base-validation": {"hidden": Vectors(targets.astype(np.float32))},
    }
    inputs = Inputs({"tokens": pool, "base": pool}, features, {}, 15, 0)
    lines = []
    for aggregate in ("mean", "max"):
        ours = chosen("rep_sim", inputs, aggregate=aggregate).score
        theirs = np.array(peers({"task": "cosines", "points": points.tolist(), "targets": targets.tolist()}))
        theirs = np.round(getattr(theirs, aggregate)(axis=1), DECIMALS)
        shares, correlation = by_scores(ours, theirs)
        largest = float(np.abs(ours - theirs).max())
        function = f"cosine_similarity, {aggregate}"
        inputs_said = "300 x 16, 12 targets"
        lines.append(Line("rep_sim", "scikit-learn", function, inputs_said, shares, None, correlation, largest))
    return lines


COMPARISONS: dict[str, Callable[[], list[Line]]] = {
    "facility_location": facility_location,
    "bm25": bm25,
    "dsir": dsir,
    "density": density,
    "nearness": nearness,
}


def markdown(lines: Sequence[Line], versions: dict[str, str]) -> str:
    """Return the generated part of the page."""
    names = [
        "method",
        "package",
        "called",
        "inputs",
        "at 5 %",
        "at 30 %",
        "same order",
        "Spearman",
        "largest difference",
    ]
    rows = [
        f"| {' | '.join([*names, 'what differs'])} |",
        "| :-- | :-- | :-- | :-- | --: | --: | :-- | --: | --: | :-- |",
    ]
    for line in lines:
        package = f"{line.package} {versions[line.package]}"
        shares = " | ".join(f"{line.overlap[ratio]:.3f}" for ratio in RATIOS)
        ordered = {None: "", True: "yes", False: "no"}[line.ordered]
        spearman = "" if line.spearman is None else f"{line.spearman:.4f}"
        largest = "" if line.largest is None else f"{line.largest:.0e}"
        cells = [f"`{line.method}`", package, line.function, line.inputs, shares, ordered, spearman, largest]
        rows.append(f"| {' | '.join([*cells, line.why or '-'])} |")
    return "\n".join(rows) + "\n"


def page(part: str) -> str:
    """Return the page with its generated part as it was just made."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return before + BEGIN + part + END + after


def cases() -> dict[str, Any]:
    """Return small inputs with what packages choose of them, which tests hold the methods to."""
    points = np.round(made_points(40, 4, seed=8), 3)
    asked = [{"points": points.tolist(), "similarity": "distance", "counts": [8]}]
    orders = {
        package: peers({"task": "facility_location", "package": package, "asked": asked})[0][0] for package in LOCATORS
    }
    train, target = made_texts(12, seed=9), made_texts(3, seed=10)
    words = [[text.split() for text in texts] for texts in (train, target)]
    scores = peers({"task": "bm25", "package": "bm25s", "documents": words[0], "queries": words[1]})
    return {
        "versions": peers({"task": "versions"}),
        "facility_location": {"points": points.tolist(), "orders": orders},
        "bm25": {"train": train, "target": target, "scores": np.round(scores, DECIMALS).tolist()},
    }


if __name__ == "__main__":
    main()
