"""The switches of the two forms of GrADS: reductions, combinations, rules, and the automatic number of records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import gaussian_kde, norm, zscore

from grads.config.study import Study
from grads.runtime.errors import GradsError
from grads.selection.gradient_signals import Combination, Reduction, count_near_the_mean
from grads.selection.methods.grads import Grads
from grads.selection.methods.grads_density import Rule, Scale
from grads.selection.needs import arm_stores, check_arms, measures, references
from grads.study.reading import parse_study, read_study

Select = Callable[..., tuple[pd.DataFrame, dict[str, Any]]]
Stores = Callable[..., Any]


def by_density(points: Any, ids: pd.Series) -> list[str]:
    """Return the ids from the densest on; points are d x N."""
    return pd.Series(gaussian_kde(points)(points), index=ids).sort_values(ascending=False).index.tolist()


@pytest.mark.parametrize("scale", ["raw", "log"])
@pytest.mark.parametrize(
    ("parameters", "number"),
    [
        ({"reduction": "l2"}, lambda w: w["embedding_l2"] + w["head_l2"]),
        ({"reduction": "std"}, lambda w: w["embedding_std"] + w["head_std"]),
        ({"reduction": "mean_abs"}, lambda w: w["embedding_mean_abs"] + w["head_mean_abs"]),
        (
            {"reduction": "range"},
            lambda w: w["embedding_max"] - w["embedding_min"] + w["head_max"] - w["head_min"],
        ),
        ({"combination": "product"}, lambda w: w["embedding_l2"] * w["head_l2"]),
        ({"combination": "embedding"}, lambda w: w["embedding_l2"]),
        ({"combination": "head", "reduction": "std"}, lambda w: w["head_std"]),
        ({"layers": ["head"]}, lambda w: w["head_l2"]),
    ],
)
def test_reductions_and_combinations(
    parameters: dict[str, Any], number: Callable[[Any], Any], scale: str, select: Select, stores_of: Stores
) -> None:
    stores = stores_of(60)
    warm = stores["warm"].signals
    table, meta = select("grads_density", "0.5", stores, **parameters, scale=scale)
    assert table["id"].tolist() == by_density(number(warm) if scale == "raw" else np.log(number(warm)), warm["id"])
    assert meta["parameters"]["scale"] == scale
    highest, _ = select("grads_density", "0.5", stores, **parameters, rule="highest")
    assert highest["id"].tolist() == warm["id"].iloc[np.argsort(-np.asarray(number(warm)))].tolist()


def test_deviations_are_summed_after_the_logarithms(select: Select, stores_of: Stores) -> None:
    stores = stores_of(60)
    warm = stores["warm"].signals
    layers = [warm["embedding_l2"], warm["head_l2"]]
    for scale, columns in {"raw": layers, "log": [np.log(one) for one in layers]}.items():
        number = sum(zscore(one) for one in columns)
        table, _ = select("grads_density", "0.5", stores, combination="zsum", scale=scale)
        assert table["id"].tolist() == by_density(number, warm["id"])
    highest, _ = select("grads_density", "0.5", stores, combination="zsum", rule="highest")
    raw = sum(zscore(one) for one in layers)
    assert highest["id"].tolist() == warm["id"].iloc[np.argsort(-np.asarray(raw))].tolist()


def test_joint_densities(select: Select, stores_of: Stores) -> None:
    stores = stores_of(60)
    warm = stores["warm"].signals
    two = np.stack([warm["embedding_l2"], warm["head_l2"]])
    for scale, points in {"raw": two, "log": np.log(two)}.items():
        table, _ = select("grads_density", "0.5", stores, combination="joint", scale=scale)
        assert table["id"].tolist() == by_density(points, warm["id"])
    four = [f"embedding_{name}" for name in ("max", "min", "mean", "std")]
    table, meta = select("grads_density", "0.5", stores, combination="embedding", reduction="vector")
    assert meta["parameters"]["scale"] == "raw"
    assert table["id"].tolist() == by_density(warm[four].to_numpy().T, warm["id"])
    # The head's mean is 0 for all: the other seven span the density.
    seven = [*four, *(f"head_{name}" for name in ("max", "min", "std"))]
    table, _ = select("grads_density", "0.5", stores, combination="joint", reduction="vector")
    assert table["id"].tolist() == by_density(warm[seven].to_numpy().T, warm["id"])


def test_central_keeps_the_middle_of_the_distribution(select: Select, stores_of: Stores) -> None:
    stores = stores_of(101)
    warm = stores["warm"].signals
    total = (warm["embedding_l2"] + warm["head_l2"]).set_axis(warm["id"])
    table, _ = select("grads_density", "0.5", stores, rule="central")
    kept = total[table["id"][table["kept"]]]
    # Half of the 101 by round-half-even is 50: the median, 24 below and 25 above it, or the other way round.
    assert table["id"].iloc[0] == total.sort_values().index[50]
    assert {(total < kept.min()).sum(), (total > kept.max()).sum()} == {25, 26}


def test_sampling_follows_the_density(select: Select, stores_of: Stores) -> None:
    stores = stores_of(3, seed=4)
    warm = stores["warm"].signals
    total = (warm["embedding_l2"] + warm["head_l2"]).to_numpy()
    expected = dict(zip(warm["id"], gaussian_kde(total)(total), strict=True))
    draws = [select("grads_density", "0.1", stores, seed=seed, rule="sample")[0]["id"] for seed in range(300)]
    first = pd.Series([table.iloc[0] for table in draws]).value_counts()
    second = pd.Series([table.iloc[1] for table in draws if table.iloc[0] == first.index[0]]).value_counts()
    for counts, left in ((first, set(expected)), (second, set(expected) - {first.index[0]})):
        for id_ in left:
            share = expected[id_] / sum(expected[other] for other in left)
            # Four standard deviations of a binomial count.
            allowed = 4 * np.sqrt(counts.sum() * share * (1 - share))
            assert abs(counts.get(id_, 0) - counts.sum() * share) < allowed


def test_samples_are_nested_and_do_not_depend_on_the_order(
    select: Select, stores_of: Stores, reordered: Callable[..., Any]
) -> None:
    stores = stores_of(80)
    large, _ = select("grads_density", "0.5", stores, rule="sample")
    small, _ = select("grads_density", "0.05", stores, rule="sample")
    assert small["id"].head(4).tolist() == large["id"].head(4).tolist()
    shuffled = reordered(stores, np.random.default_rng(1).permutation(80))
    again, _ = select("grads_density", "0.5", shuffled, rule="sample")
    assert again.equals(large)
    other, _ = select("grads_density", "0.5", stores, seed=1, rule="sample")
    assert other["id"].tolist() != large["id"].tolist()


def test_grads_reads_the_point_layers_and_encoder_asked_for(select: Select, stores_of: Stores) -> None:
    stores, others = stores_of(40, seed=1), stores_of(40, seed=2)
    pool = stores["tokens"].signals
    here = pool.assign(**others["warm"].signals.iloc[:, 4:])
    renamed = here.rename(columns=lambda name: name.replace("embedding_", "adapter_"))
    base = type(stores["base"])
    swapped = {"tokens": stores["tokens"], "warm": base(here), "base": base(pool, others["base"].features)}
    expected, _ = select("grads", "0.5", swapped, layers=["embedding"])
    stores |= {"during": base(renamed), "encoder-minilm": base(pool, {"sentences": others["base"].features["hidden"]})}
    found, _ = select("grads", "0.5", stores, point="during", layers=["adapter"], encoder="minilm")
    assert found.equals(expected)
    plain, _ = select("grads", "0.5", stores)
    assert not plain.equals(expected)


READINGS = [
    ("grads", {"statistics": ["max", "min", "mean", "std"]}),
    ("grads", {"magnitude": 1.0}),
    ("grads", {"diversity_measure": "mean_distance"}),
    ("grads", {"diversity_measure": "log_det"}),
    ("grads", {"content": "gradients"}),
    ("grads_density", {"similarity": 0.5}),
    ("grads_density", {"similarity": 0.5, "content": "gradients", "combination": "joint"}),
    ("grads_density", {"similarity": 0.5, "rule": "central"}),
]


@pytest.mark.parametrize(("name", "given"), READINGS)
def test_every_reading_is_a_ranking_that_depends_on_the_records_alone(
    name: str, given: dict[str, Any], select: Select, needed_by: Stores, reordered: Callable[..., Any]
) -> None:
    stores = needed_by(name, 40, **given)
    table, meta = select(name, "0.5", stores, **given)
    assert meta["actual"] == meta["requested"] == 20
    assert np.isfinite(table["score"]).all()
    again, _ = select(name, "0.5", reordered(stores, np.random.default_rng(1).permutation(40)), seed=1, **given)
    assert again.equals(table)
    small, _ = select(name, "0.1", stores, **given)
    assert small["id"][:4].tolist() == table["id"][:4].tolist()
    plain, _ = select(name, "0.5", needed_by(name, 40))
    assert plain["id"].tolist() != table["id"].tolist()
    alike, _ = select(name, "0.5", needed_by(name, 9, constant=True, **given), **given)
    assert alike["id"].tolist() == sorted(alike["id"])


@pytest.mark.parametrize(("name", "given"), READINGS)
def test_the_cut_by_score_goes_with_every_reading(
    name: str, given: dict[str, Any], select: Select, needed_by: Stores
) -> None:
    table, meta = select(name, "auto", needed_by(name, 40, **given), **given, cut="score")
    assert 1 < meta["requested"] < 39
    assert table["kept"].sum() == meta["requested"]


def test_count_near_the_mean_by_hand() -> None:
    # Logarithms 0, 0, 0, 0, 5: mean 1, standard deviation 2.
    assert count_near_the_mean(np.exp([0.0, 0.0, 0.0, 0.0, 5.0])) == 4
    assert count_near_the_mean(np.exp([-3.0, -1.0, 1.0, 3.0])) == 2
    assert count_near_the_mean(np.array([0.0, 0.0])) == 1
    assert count_near_the_mean(np.array([0.0, 2.0, 2.0])) == 2
    logs = np.random.default_rng(0).normal(size=20_000)
    assert count_near_the_mean(np.exp(logs)) / 20_000 == pytest.approx(2 * norm.cdf(1) - 1, abs=0.01)


@pytest.mark.parametrize("name", ["grads", "grads_density"])
def test_auto_keeps_as_many_as_lie_near_the_mean(name: str, select: Select, stores_of: Stores) -> None:
    stores = stores_of(90)
    warm = stores["warm"].signals
    logs = np.log(warm["embedding_l2"] + warm["head_l2"])
    expected = ((logs - logs.mean()).abs() <= logs.std(ddof=0)).sum()
    table, meta = select(name, "auto", stores)
    assert table["kept"].sum() == meta["requested"] == expected
    assert meta["ratio"] == "auto"


def test_controls_take_the_automatic_count_of_their_reference(select: Select, stores_of: Stores) -> None:
    stores = stores_of(90)
    _, reference = select("grads", "auto", stores)
    for control in ("random", "random_length"):
        table, meta = select(control, "auto", stores)
        assert table["kept"].sum() == meta["requested"] == reference["requested"]
    table, meta = select("full_steps", "auto", stores)
    assert table["kept"].all()
    assert meta["requested"] == reference["requested"]


def test_a_count_that_does_not_exist_is_refused(select: Select, stores_of: Stores) -> None:
    with pytest.raises(GradsError, match="'grads_density' has no number of records of its own"):
        select("grads_density", "auto", stores_of(9), combination="zsum")
    with pytest.raises(GradsError, match="'grads' has no number of records of its own"):
        select("grads", "auto", stores_of(9), representativeness=0.0)


SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))


def with_arms(**arms: dict[str, Any]) -> Study:
    """Return the smoke study with its arms and these."""
    return parse_study(SMOKE | {"arms": SMOKE["arms"] | arms})


def test_one_pass_serves_all_arms_with_what_any_of_them_needs() -> None:
    assert (measures(with_arms(), "base", "tiny"), measures(with_arms(), "warm", "tiny")) == (["hidden"], ["gradients"])
    study = with_arms(
        a={"method": "grads", "ratios": ["0.5"], "parameters": {"point": "base", "layers": ["adapter"]}},
        b={"method": "grads_density", "ratios": ["0.5"], "parameters": {"reduction": "mean_abs"}},
        c={"method": "grads_density", "ratios": ["0.5"], "parameters": {"point": "during"}},
    )
    check_arms(study)
    assert measures(study, "base", "tiny") == ["adapter", "gradients", "hidden"]
    assert measures(study, "warm", "tiny") == ["gradients", "mean_abs"]
    assert measures(study, "during", "tiny") == ["gradients"]
    assert arm_stores(study, "a") == ["base"]


def test_references_depend_on_the_ratio() -> None:
    study = with_arms(
        grads={"method": "grads", "ratios": ["0.5", "auto"]}, random={"method": "random", "ratios": ["0.5", "auto"]}
    )
    check_arms(study)
    assert references(study, "random", "0.5") == ()
    assert references(study, "random", "auto") == references(study, "random_length", "0.5") == ("grads",)


@pytest.mark.parametrize(
    ("arm", "sentence"),
    [
        ({"method": "random", "ratios": ["auto"]}, r"arms\.grads\.ratios: arm 'x' refers to it at auto: add"),
        (
            {"method": "grads_density", "ratios": ["auto"], "parameters": {"combination": "joint"}},
            r"arms\.x\.ratios: method 'grads_density' with these parameters finds no number",
        ),
        ({"method": "untuned", "start": "warm"}, r"arms\.untuned\.start: method 'untuned' trains nothing"),
        (
            {"method": "grads", "ratios": ["0.5"], "parameters": {"encoder": "minilm"}},
            r"arms\.x\.parameters\.encoder is 'minilm': there are none",
        ),
    ],
)
def test_arms_that_could_not_run_are_refused(arm: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GradsError, match=sentence):
        check_arms(with_arms(**{"untuned" if arm["method"] == "untuned" else "x": arm}))


@pytest.mark.parametrize("method", ["grads", "grads_density"])
def test_all_weights_are_a_layer_where_all_are_trained(method: str) -> None:
    arm = {"method": method, "ratios": ["0.5"], "parameters": {"layers": ["weights"]}}
    study = parse_study(SMOKE | {"arms": {"x": arm}, "training": {"weights": "full"}})
    check_arms(study)
    assert "weights" in measures(study, "warm", "tiny")
    with pytest.raises(GradsError, match=r"'weights' needs training\.weights to be full"):
        check_arms(with_arms(x=arm))


def test_the_adapter_needs_an_adapter() -> None:
    arm = {"method": "grads", "ratios": ["0.5"], "parameters": {"layers": ["adapter"]}}
    study = parse_study(SMOKE | {"arms": {"x": arm}, "training": {"weights": "full"}})
    with pytest.raises(GradsError, match=r"arms\.x\.parameters\.layers: 'adapter' needs training\.weights"):
        check_arms(study)


def test_the_ablation_asks_for_every_switch() -> None:
    study = read_study("config/ablation_grads.yaml")
    check_arms(study)
    assert [
        measures(study, store, next(iter(study.models))) for store in ("base", "warm", "during", "encoder-minilm")
    ] == [
        ["gradients", "hidden"],
        ["adapter", "gradients", "mean_abs", "sgd_features"],
        ["gradients"],
        ["sentences"],
    ]
    given = [value for arm in study.arms.values() for value in arm.parameters.values()]
    for method, switches in {
        "grads": {"statistics", "magnitude", "diversity_measure", "content", "encoder", "point", "layers", "cut"},
        "grads_density": {"reduction", "combination", "scale", "bandwidth", "rule", "similarity", "content", "cut"},
    }.items():
        assert {key for arm in study.arms.values() if arm.method == method for key in arm.parameters} == switches
    measures_of_diversity = Grads.model_fields["diversity_measure"].annotation
    assert set(get_args(measures_of_diversity)[1:]) <= {value for value in given if isinstance(value, str)}
    for values in (get_args(Reduction)[1:], get_args(Combination)[1:], get_args(Rule)[1:], get_args(Scale)[:1]):
        assert set(values) <= {value for value in given if isinstance(value, str)}
