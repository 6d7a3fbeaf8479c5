"""Stores of validation records, and probes in shards: made where a method or the config asks for them."""

import numpy as np
import pandas as pd
import pytest
import yaml

from grads.signals.store import read_store

pytestmark = pytest.mark.slow

METHOD = '''"""A method that prefers training gradients that point where those of the validation records do."""
from grads.selection.contract import Choice, Method, Needs

HELD = frozenset({"sgd_features", "losses"})
NEEDS = Needs({"warm": HELD, "warm-validation": HELD, "base-validation": frozenset({"embeddings"})})


def select(inputs, _):
    import numpy as np

    assert len(inputs.signals["warm-validation"]) == 4
    assert not set(inputs.signals["warm-validation"]["id"]) & set(inputs.pool["id"])
    assert inputs.features["base-validation"]["embeddings"].shape[0] == 4
    target = inputs.features["warm-validation"]["sgd_features"].mean()
    return Choice(np.asarray(inputs.features["warm"]["sgd_features"].unit) @ target)


METHOD = Method(
    name="aligned",
    title="Aligned",
    source="a test",
    select=select,
    needs=lambda _: NEEDS,
    uses_target=True,
)
'''
ARMS = {"untuned": {"method": "untuned"}, "aligned": {"method": "aligned", "ratios": ["0.5"]}}
SELECTION = "selections/tiny/sums/aligned/0.5/0.parquet"


@pytest.fixture(scope="module")
def workspace(make_workspace):
    made = make_workspace()
    (made.folder / "grads/selection/methods/aligned.py").write_text(METHOD)
    config = yaml.safe_load((made.folder / "config/smoke.yaml").read_text())
    del config["domains"]["plurals"]
    for name, shards in (("whole", 1), ("parts", 3)):
        # Each record is a batch of its own, so that shards do not change the batches.
        probe = config["probe"] | {"token_budget": 1, "shards": shards}
        content = config | {"study": name, "arms": ARMS, "probe": probe}
        (made.folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return made


@pytest.fixture(scope="module")
def selected(workspace):
    """Folders of two studies up to their selections: probed in one job, and in three."""
    for name in ("whole", "parts"):
        workspace.snakemake("--configfile", f"{name}.yaml", "--", f"results/{name}/{SELECTION}")
    return [workspace.folder / "results" / name for name in ("whole", "parts")]


def test_validation_records_have_stores_of_their_own(selected):
    folder = selected[0]
    stores = folder / "signals/tiny/sums"
    names = {"tokens", "warm-0", "warm-0-validation", "base-validation"}
    assert {path.name for path in stores.iterdir() if path.is_dir()} == names
    validation = pd.read_parquet(folder / "data/sums/validation.parquet")["id"].tolist()
    assert read_store(stores / "warm-0-validation").signals["id"].tolist() == validation
    chosen = pd.read_parquet(folder / SELECTION)
    target = read_store(stores / "warm-0-validation").features["sgd_features"].mean()
    warm = read_store(stores / "warm-0")
    alignment = pd.Series(np.asarray(warm.features["sgd_features"].unit) @ target, index=warm.signals["id"])
    np.testing.assert_allclose(chosen["score"], alignment[chosen["id"]], rtol=1e-5)


def test_shards_give_the_same_store_and_leave_nothing(selected):
    whole, parts = (folder / "signals/tiny/sums/warm-0" for folder in selected)
    for path in whole.iterdir():
        if path.suffix != ".json":
            assert (parts / path.name).read_bytes() == path.read_bytes(), path.name
    assert (read_store(parts).meta["shards"], read_store(parts).meta["records"]) == (3, 24)
    assert not any((selected[1] / "signals/tiny/sums/shards").rglob("*.parquet"))


def test_nothing_is_left_to_do(workspace, selected):
    for folder in selected:
        target = f"results/{folder.name}/{SELECTION}"
        assert workspace.planned("--configfile", f"{folder.name}.yaml", "--", target) == {}


def test_other_machine_settings_measure_nothing_again(workspace, selected):
    text = (workspace.folder / "whole.yaml").read_text()
    (workspace.folder / "budget.yaml").write_text(text.replace("token_budget: 1", "token_budget: 500"))
    assert workspace.planned("--configfile", "budget.yaml", "--", f"results/whole/{SELECTION}") == {}
