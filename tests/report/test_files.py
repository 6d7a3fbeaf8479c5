"""Which files a cell leaves: what the tables wait for is what the workflow makes."""

from pathlib import Path

import pytest
import yaml

from grads.report.files import cell_files, listed, missing_files, selection_files
from grads.selection.needs import arm_stores
from grads.study.grid import cells
from grads.study.reading import parse_study, read_study

ROOT = Path(__file__).parents[2]
STUDY = read_study(ROOT / "config/smoke.yaml")
FILES = cell_files(STUDY, {arm: arm_stores(STUDY, arm) for arm in STUDY.arms})
BY_ARM = {(files.cell.domain, files.cell.arm): files for files in FILES}


def test_files_come_in_the_order_of_the_grid():
    assert [files.cell for files in FILES] == cells(STUDY)


def test_untuned_has_neither_training_nor_selection_and_shares_its_general_part():
    sums, plurals = BY_ARM["sums", "untuned"], BY_ARM["plurals", "untuned"]
    assert sums.general == plurals.general
    assert sums.metrics != plurals.metrics
    assert (sums.training, sums.selection, sums.preliminary, sums.stores) == (None, None, None, {})
    assert len(listed(sums)) == 2


def test_tables_wait_for_verdicts_where_the_study_names_a_file():
    config = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
    config["evaluation"] |= {"metrics": ["verdict"], "verdicts": "judged.jsonl"}
    study = parse_study(config)
    (first, *_) = cell_files(study, {arm: arm_stores(study, arm) for arm in study.arms})
    assert Path("results/smoke/judgements") in listed(first)
    # A run whose answers are not judged yet is finished.
    assert Path("results/smoke/judgements") not in missing_files(first)
    assert not any("judgements" in path.parts for files in FILES for path in listed(files))


@pytest.mark.parametrize(
    ("arm", "stores", "preliminary"),
    [("random", set(), False), ("grads_density", {"warm"}, True), ("grads", {"base", "warm"}, True)],
)
def test_an_arm_waits_for_what_its_method_needs(arm, stores, preliminary):
    files = BY_ARM["sums", arm]
    assert set(files.stores) == stores
    assert (files.preliminary is not None) == preliminary
    assert len(listed(files)) == 4 + preliminary + len(stores)


def test_a_reference_to_another_arm_takes_its_stores_along():
    assert set(BY_ARM["sums", "random_length"].stores) == {"base", "warm"}


def test_stores_are_listed_as_folders_and_nothing_is_listed_twice():
    for files in FILES:
        paths = listed(files)
        assert len(set(paths)) == len(paths)
        assert {meta.parent for meta in files.stores.values()} <= set(paths)
        assert not set(files.stores.values()) & set(paths)


def test_files_of_two_cells_are_apart_but_for_what_they_share():
    own = [path for files in FILES for path in (files.metrics, files.training, files.selection) if path]
    assert len(set(own)) == len(own)


def test_other_domains_are_tested_where_the_study_asks_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not any(files.cross for files in FILES)
    asked = STUDY.model_copy(update={"evaluation": STUDY.evaluation.model_copy(update={"cross_domain": True})})
    for files in cell_files(asked, {arm: arm_stores(asked, arm) for arm in asked.arms}):
        other = {"sums": "plurals", "plurals": "sums"}[files.cell.domain]
        assert set(files.cross) == {other}
        # The untuned model is not tuned on any domain: its answers to a domain's test are the same.
        own = BY_ARM[other, "untuned"].metrics
        assert (files.cross[other] == own) == (files.cell.arm == "untuned")
        assert files.cross[other] in listed(files)
        assert files.cross[other] in missing_files(files)


@pytest.mark.parametrize(("scorer", "own"), [(None, True), ("tiny", True), ("navigator", False)])
def test_a_selection_says_whose_signals_its_method_reads(scorer, own):
    content = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    navigator = {"title": "Navigator", "source": {"kind": "tiny", "seed": 1}}
    content["arms"]["grads"] |= {"scorer": scorer} if scorer else {}
    study = parse_study(content | {"scorers": {"navigator": navigator}})
    reads = {arm: {} for arm in study.arms} | {"grads": {"warm": ["head_l2"]}}
    one = next(one for one in selection_files(study, reads) if one.cell.arm == "grads")
    assert one.own == own
    assert one.magnitudes == (("warm", ["head_l2"]) if own else None)


def test_a_cell_waits_for_what_its_scorer_makes():
    content = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    navigator = {"title": "Navigator", "source": {"kind": "tiny", "seed": 1}}
    study = parse_study(content | {"scorers": {"navigator": navigator}})
    points = {arm: ["navigator:warm", "tiny:base", "warm"] for arm in study.arms}
    files = next(files for files in cell_files(study, points) if files.cell.arm == "grads")
    signals = Path("results/smoke/signals")
    assert {label: meta.parent for label, meta in files.stores.items()} == {
        "navigator:warm": signals / "navigator/sums/warm-0",
        # The trained model may be named as scorer: the store is its own.
        "base": signals / "tiny/sums/base",
        "warm": signals / "tiny/sums/warm-0",
    }
    assert list(files.scorers) == ["navigator"]
    assert files.preliminary == Path("results/smoke/runs/tiny/sums/warm/1/0/training.json")
    assert {files.preliminary, *files.scorers.values()} < set(listed(files))
