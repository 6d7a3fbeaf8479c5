import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from grads.data.records.record import make_record, write_records

RECORDS = {
    (domain, split): [make_record(f"{domain} {split} {n}?", "", f"{n}. " * 99) for n in range(3)]
    for domain in ("sums", "plurals")
    for split in ("train", "validation", "test")
}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder to work in with the records of the smoke study, and one arm's signals and selection."""
    content = Path("config/smoke.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(content)
    root = Path("results/smoke")
    for (domain, split), records in RECORDS.items():
        write_records(root / "data" / domain / f"{split}.parquet", records)
    ids = [record.id for record in RECORDS["sums", "train"]]
    lengths = {"prompt_tokens": 5, "response_tokens": [7, 8, 9], "truncated": False}
    for point, columns in {"tokens": {}, "warm-0": {"head_l2": [0.125, 0.5, 2.0]}}.items():
        folder = root / "signals/tiny/sums" / point
        folder.mkdir(parents=True)
        pd.DataFrame({"id": ids, **lengths, **columns}).iloc[:2].to_parquet(folder / "signals.parquet")
    selection = root / "selections/tiny/sums/grads/0.5/0.parquet"
    selection.parent.mkdir(parents=True)
    columns = {"id": ids, "score": [0.25, 1.5, 0.0], "rank": [2, 1, 3], "kept": [False, True, False]}
    pd.DataFrame(columns).to_parquet(selection)


def test_a_record_is_explained(grads, results):
    record = RECORDS["sums", "train"][1]
    printed = grads("explain", "mine.yaml", "--id", record.id[:10]).stdout
    assert printed.startswith(f"{record.id}  Sums (sums), train\n  instruction  sums train 1?\n")
    assert " ...\n" in printed
    assert "tiny tokens: prompt_tokens 5, response_tokens 8, truncated False\n" in printed
    assert "tiny warm-0: head_l2 0.5\n" in printed
    assert "tiny grads@0.5 seed 0: kept, rank 1 of 3, score 1.5\n" in printed
    assert "tiny random@0.5 seed 0: not selected yet\n" in printed
    assert "plurals" not in printed


def called(*names):
    """Give the training records of `sums` names of the data's own; return them."""
    records = [replace(record, own_id=name) for record, name in zip(RECORDS["sums", "train"], names, strict=True)]
    write_records(Path("results/smoke/data/sums/train.parquet"), records)
    return records


def test_a_record_is_known_by_what_the_data_call_it(grads, results):
    record = called("", "mine 1", "mine 2")[1]
    printed = grads("explain", "mine.yaml", "--id", "mine 1").stdout
    assert printed == grads("explain", "mine.yaml", "--id", record.id).stdout
    assert printed.startswith(f"{record.id}  Sums (sums), train\n  own_id       mine 1\n")
    assert "no record of study" in grads("explain", "mine.yaml", "--id", "mine", status=2).stderr


def test_a_name_of_the_data_goes_before_the_first_digits_of_an_id(grads, results):
    first = RECORDS["sums", "train"][0].id[:1]
    record = called("", "", first)[2]
    assert grads("explain", "mine.yaml", "--id", first).stdout.startswith(record.id)
    twice = called("same", "same", "other")[:2]
    said = grads("explain", "mine.yaml", "--id", "same", status=2).stderr
    assert all(record.id in said for record in twice)


def test_a_record_that_was_not_eligible_says_so(grads, results):
    printed = grads("explain", "mine.yaml", "--id", RECORDS["sums", "train"][2].id).stdout
    assert "tiny tokens: not eligible" in printed


def test_a_record_without_finite_signals_says_so(grads, results):
    id_ = RECORDS["sums", "train"][2].id
    Path("results/smoke/signals/tiny/sums/warm-0/meta.json").write_text(json.dumps({"left_out": [id_]}))
    printed = grads("explain", "mine.yaml", "--id", id_).stdout
    assert "tiny tokens: not eligible" in printed
    assert "tiny warm-0: left out: one of its signals is no finite number" in printed


def test_a_test_record_is_seen_by_no_method(grads, results):
    printed = grads("explain", "mine.yaml", "--id", RECORDS["plurals", "test"][0].id).stdout
    assert "Plurals (plurals), test" in printed
    assert "No method sees it" in printed


def test_an_id_that_is_nobodys_or_several_is_refused(grads, results):
    assert "no record of study 'smoke' has it" in grads("explain", "mine.yaml", "--id", "zz", status=2).stderr
    assert "18 records begin so" in grads("explain", "mine.yaml", "--id", "", status=2).stderr
    Path("results/smoke/data/sums/train.parquet").unlink()
    assert "run the study first" in grads("explain", "mine.yaml", "--id", "zz", status=2).stderr
