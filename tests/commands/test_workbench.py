"""What methods read beside signals, where the data are one file."""

import numpy as np
import pytest

from grads.methods import registry
from grads.methods.contract import Choice, Method, Needs
from grads.probe.store import read_store

from .conftest import rows


def reading(texts):
    """Return a method that chooses by a field of the records."""
    return Method(
        "reading",
        "Reading",
        "a test",
        lambda inputs, _: Choice(inputs.texts["train"]["number"].to_numpy()),
        needs=lambda _: Needs(texts=frozenset(texts)),
    )


@pytest.fixture
def registered(monkeypatch):
    """Put a method into the registry."""

    def put(method):
        known = registry.methods() | {method.name: method}
        monkeypatch.setattr(registry, "methods", lambda: known)
        monkeypatch.setattr(registry, "module_of", lambda _name: "grads.methods.random")
        monkeypatch.setattr("grads.commands.workbench.module_of", lambda _name: "grads.methods.random", raising=False)

    return put


def test_a_method_reads_the_fields_that_are_named(on_data, registered, tmp_path):
    registered(reading(["train"]))
    asked = ("select", "subset.jsonl", "--ratio", "0.1", "--method", "reading")
    on_data(*asked, "--metadata", "number")
    assert [row["number"] for row in rows(tmp_path / "subset.jsonl")] == [18, 19]
    found = on_data(*asked, "--metadata", "source", status=2).output
    assert "--metadata source: every record has such a field of its own: remove it" in " ".join(found.split())


def test_texts_that_one_file_has_not_are_refused_before_any_work(on_data, registered, tmp_path):
    registered(reading(["validation"]))
    found = on_data("select", "subset.jsonl", "--ratio", "0.1", "--method", "reading", status=2).output
    assert "reads texts of validation records, which one file has not: use a study" in " ".join(found.split())
    assert not (tmp_path / "grads-work").exists()


def test_a_trajectory_is_made_once_for_its_settings(on_data, registered, tmp_path):
    method = Method(
        "reading",
        "Reading",
        "a test",
        lambda inputs, _: Choice(np.asarray(inputs.features["trajectory"]["losses"])[:, -1]),
        needs=lambda _: Needs({"trajectory": frozenset({"losses"})}),
    )
    registered(method)
    asked = ("--method", "reading", "--probe", "trajectory.epochs=1", "--probe", "trajectory.checkpoints=2")
    for name, ratio in (("one", "0.1"), ("two", "0.5")):
        on_data("select", f"{name}.jsonl", "--ratio", ratio, *asked)
    assert [len(rows(tmp_path / f"{name}.jsonl")) for name in ("one", "two")] == [2, 10]
    (store,) = (path / "store" for path in (tmp_path / "grads-work").glob("trajectory-*") if path.is_dir())
    assert read_store(store).features["losses"].shape == (20, 2)
