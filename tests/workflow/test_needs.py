"""What methods read in addition to signals, as the workflow makes it: texts, an anchor, a scorer's signals, losses."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from grads.signals.store import read_store

pytestmark = pytest.mark.slow

METHOD = '''"""A method that reads all there is, and ranks by a field of the records."""

from grads.selection.contract import Choice, Method, Needs

LOSSES = frozenset({"losses"})
NEEDS = Needs(
    {
        "base": LOSSES,
        "base-anchor": LOSSES,
        "warm": frozenset({"sgd_features"}),
        "warm-anchor": frozenset({"sgd_features"}),
        "trajectory": LOSSES,
    },
    texts=frozenset({"train", "validation"}),
)


def select(inputs, parameters):
    """Rank by the field, after looking at the shapes of all inputs."""
    found = inputs.features
    shapes = {f"{store} {kind}": list(found[store][kind].shape) for store in found for kind in found[store]}
    shapes |= {split: len(table) for split, table in inputs.texts.items()}
    return Choice(inputs.texts["train"]["grade"].to_numpy(), notes=shapes)


METHOD = Method(name="reader", title="Reader", source="a test", select=select, needs=lambda _: NEEDS, uses_target=True)
'''


@pytest.fixture(scope="module")
def finished(make_workspace):
    workspace = make_workspace()
    (workspace.folder / "grads/selection/methods/reader.py").write_text(METHOD)
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    lines = (workspace.folder / "config/smoke/sums.jsonl").read_text().splitlines()
    rows = [json.loads(line) | {"grade": number} for number, line in enumerate(lines)]
    (workspace.folder / "graded.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config |= {"study": "needs", "domains": {"sums": {"title": "Sums", "metadata": ["grade"]}}}
    config["domains"]["sums"]["source"] = {"kind": "file", "path": "graded.jsonl"}
    config["scorers"] = {"navigator": {"title": "Navigator", "source": {"kind": "tiny", "seed": 1, "layers": 1}}}
    # The navigator's prompts are longer, and some records do not fit for it.
    config["scorers"]["navigator"]["format"] = {"template": "chat", "system": "Add the two numbers, please."}
    config["training"] |= {"max_length": 91}
    reader = {"method": "reader", "ratios": ["0.5"]}
    config["arms"] = {"untuned": {"method": "untuned"}, "own": reader, "near": reader | {"scorer": "navigator"}}
    config["probe"] |= {"trajectory": {"checkpoints": 4, "epochs": 2}}
    (workspace.folder / "needs.yaml").write_text(yaml.safe_dump(config))
    workspace.snakemake("--configfile", "needs.yaml")
    workspace.results = workspace.folder / "results" / "needs"
    workspace.grades = {row["instruction"]: row["grade"] for row in rows}
    return workspace


def selection(finished, arm):
    path = finished.results / f"selections/tiny/sums/{arm}/0.5/0.parquet"
    return pd.read_parquet(path), json.loads(path.with_suffix(".json").read_text())


def test_a_field_of_the_records_orders_them(finished):
    for arm in ("own", "near"):
        table, meta = selection(finished, arm)
        texts = pd.read_parquet(finished.results / "data/sums/train.parquet").set_index("id")["instruction"]
        grades = [finished.grades[texts[id_]] for id_ in table["id"]]
        assert grades == sorted(grades, reverse=True)
        assert meta["notes"]["validation"] == 4
        assert meta["notes"]["train"] == meta["eligible"]


def test_the_anchor_is_measured_as_the_records_are(finished):
    drawn = pd.read_parquet(finished.results / "general/anchor.parquet")["id"]
    signals = finished.results / "signals"
    for model in ("tiny", "navigator"):
        stores = {
            name: read_store(signals / model / "sums" / name) for name in ("warm-0", "warm-0-anchor", "base-anchor")
        }
        for name in ("warm-0-anchor", "base-anchor"):
            # As of other records, those that are too long for a model are not measured.
            assert set(stores[name].signals["id"]) <= set(drawn)
            assert len(stores[name].signals) + stores[name].meta["over_length"] == len(drawn)
        shapes = [stores[name].features["sgd_features"].shape for name in ("warm-0", "warm-0-anchor")]
        assert shapes[0][1] == shapes[1][1]
    assert selection(finished, "own")[1]["notes"]["warm-anchor sgd_features"][0] == len(drawn)


def test_another_model_scores_what_both_can_read(finished):
    own, near = (selection(finished, arm)[1] for arm in ("own", "near"))
    assert (own["eligible"], own["left_out_by_scorer"]) == (24, 0)
    readable = set(read_store(finished.results / "signals/navigator/sums/tokens").signals["id"])
    assert 0 < near["left_out_by_scorer"] == 24 - len(readable)
    assert near["eligible"] == len(readable)
    assert set(selection(finished, "near")[0]["id"]) == readable
    # It was probed and had its preliminary epoch, and was never a cell.
    assert {path.name for path in (finished.results / "runs/navigator/sums").iterdir()} == {"warm", "trajectory"}
    assert not (finished.results / "selections/navigator").exists()


def test_trajectories_are_kept_for_each_model(finished):
    for model, arm in (("tiny", "own"), ("navigator", "near")):
        store = read_store(finished.results / "signals" / model / "sums" / "trajectory-0")
        losses = np.asarray(store.features["losses"])
        assert losses.shape[1] == 4
        assert losses[:, -1].mean() < losses[:, 0].mean()
        assert selection(finished, arm)[1]["notes"]["trajectory losses"][1] == 4


def test_costs_are_charged_to_the_arm_whoever_scored(finished):
    costs = pd.read_csv(finished.results / "tables/cost.csv").set_index("arm")
    # A preliminary epoch, a pass after it, two epochs of a trajectory; a base pass, four checkpoints. Passes over the
    # anchor are over other records.
    for arm in ("own", "near"):
        assert tuple(costs.loc[arm, ["passes", "forward_passes"]].astype(int)) == (4, 5)
        assert costs.loc[arm, "as_run_seconds"] == pytest.approx(costs.loc[arm, "standalone_seconds"])


def test_the_overlap_report_and_a_second_run(finished):
    pairs = json.loads((finished.results / "data/overlap.json").read_text())["pairs"]
    assert {"general/anchor", "general/replay"} < {pair["of"] for pair in pairs}
    assert finished.planned("--configfile", "needs.yaml") == {}
