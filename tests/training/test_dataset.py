"""What a run trains on: strategies, selections, and what runs are matched with."""

from dataclasses import replace

import pandas as pd
import pytest

from grads.config.models import Format
from grads.config.training import Training
from grads.data.records.formatting import Example, Formatter
from grads.data.records.record import load_records, make_record, write_records
from grads.models.load import load_tokenizer
from grads.runtime.errors import GradsError
from grads.training.cell import TrainingCell
from grads.training.dataset import Material, prepare_material
from grads.training.visits import training_order

TRAINING = Training(epochs=2, global_batch=4, max_length=256)


@pytest.fixture
def formatter(tiny_model_folder):
    return Formatter(load_tokenizer(tiny_model_folder), Format())


@pytest.fixture
def cell(tmp_path):
    records = [make_record(f"Define {i}.", "", "so " * (1 + i % 7)) for i in range(30)]
    write_records(tmp_path / "train.parquet", records)
    kept = [i < 10 for i in range(30)]
    table = {
        "id": [record.id for record in records],
        "kept": kept,
        "weight": [(i % 5) / 2 * k for i, k in enumerate(kept)],
    }
    pd.DataFrame(table).to_parquet(tmp_path / "kept.parquet")
    general = [make_record(f"Say {i}.", "", "yes") for i in range(8)] + records[20:24]
    write_records(tmp_path / "replay.parquet", general)

    def make(**changes):
        files = {name: tmp_path / name for name in ("trained", "summary", "scratch")}
        given = {"label": "a run", "records": tmp_path / "train.parquet", "kept": tmp_path / "kept.parquet"}
        return TrainingCell(**given | files | {"initialisation_seed": 1, "order_seed": 2} | changes)

    return make


def test_without_a_strategy_it_is_the_plain_order_of_the_kept(cell, formatter):
    found = prepare_material(cell(), formatter, TRAINING)
    kept = [record.id for record in load_records(cell().records)[:10]]
    assert found.order == training_order(kept, TRAINING, 2)
    assert (found.weights, found.notes) == ({}, {})


def test_matched_runs_are_as_long_as_the_plain_run_on_all_records(cell, formatter):
    plain = prepare_material(cell(kept=None), formatter, TRAINING)
    steps = prepare_material(cell(match="steps"), formatter, TRAINING)
    assert len(steps.visits) == len(plain.visits) == 60
    assert len(set(steps.order)) == 10
    tokens = prepare_material(cell(match="tokens"), formatter, TRAINING)
    read = [sum(len(example.input_ids) for example in run.visits) for run in (plain, tokens)]
    last = sum(len(example.input_ids) for example in tokens.visits[-4:])
    assert read[0] <= read[1] < read[0] + last
    assert prepare_material(cell(kept=None, match="steps"), formatter, TRAINING).order == plain.order


def test_weights_come_from_the_selection(cell, formatter, tmp_path):
    found = prepare_material(cell(strategy="weighted"), formatter, TRAINING)
    by_id = pd.read_parquet(cell().kept).set_index("id")["weight"]
    # Two of the ten weigh nothing.
    assert len(found.weights) == len(set(found.order)) == 8
    for example in found.visits:
        assert found.weights[example.id] == [by_id[example.id]] * example.response_tokens
    with pytest.raises(GradsError, match="'weighted' reads a selection's weights and there are none"):
        prepare_material(cell(strategy="weighted", kept=None), formatter, TRAINING)
    pd.read_parquet(cell().kept)[["id", "kept"]].to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(GradsError, match="'weighted' reads a selection's weights and there are none"):
        prepare_material(cell(strategy="weighted", kept=tmp_path / "bare.parquet"), formatter, TRAINING)


def test_general_records_are_mixed_in_and_none_of_the_domain(cell, formatter, tmp_path):
    replay = cell(strategy="replay", replay=tmp_path / "replay.parquet")
    found = prepare_material(replay, formatter, TRAINING)
    assert (len(found.visits), found.notes["general_records"]) == (30, 5)
    ours = {record.id for record in load_records(replay.records)}
    assert len(set(found.order) - ours) == 5
    # Of twelve, four are records of the domain, kept or not.
    whole = cell(strategy="replay", replay=tmp_path / "replay.parquet", kept=None)
    with pytest.raises(GradsError, match="adds 15 general records to 30 of the domain, and 8 are eligible"):
        prepare_material(whole, formatter, TRAINING)
    with pytest.raises(GradsError, match="strategy 'replay' reads general records and none are given"):
        prepare_material(cell(strategy="replay"), formatter, TRAINING)


def test_general_records_and_matched_steps_are_together_the_plain_run(cell, formatter, tmp_path):
    found = prepare_material(
        cell(strategy="replay", replay=tmp_path / "replay.parquet", match="steps"), formatter, TRAINING
    )
    assert (len(found.visits), len(set(found.order))) == (60, 15)


def test_equal_steps_grow_with_what_a_strategy_adds(cell, formatter, tmp_path):
    plain = prepare_material(cell(steps_of_records=4), formatter, TRAINING)
    more = prepare_material(
        cell(steps_of_records=4, strategy="replay", replay=tmp_path / "replay.parquet"), formatter, TRAINING
    )
    # 4 records, 2 epochs, batches of 4: 2 steps; 6 of them: 3.
    assert (len(plain.visits), len(more.visits)) == (8, 12)


def test_signals_that_are_not_given_are_named(cell, formatter):
    with pytest.raises(GradsError, match="strategy 'stm' needs the signals 'base' and they are not given"):
        prepare_material(cell(strategy="stm"), formatter, TRAINING)


def test_a_strategy_that_leaves_nothing_is_said(cell, formatter, tmp_path):
    ids = [record.id for record in load_records(cell().records)]
    pd.DataFrame({"id": ids, "kept": True, "weight": 0.0}).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(GradsError, match="strategy 'weighted' leaves none of 30 records to train on"):
        prepare_material(cell(strategy="weighted", kept=tmp_path / "none.parquet"), formatter, TRAINING)


def test_its_hash_knows_tokens_order_and_what_carries_loss():
    one, other = Example("a", [1, 2, 3, 4], 3), Example("b", [5, 6], 1)
    changed = [replace(one, earlier=((1, 2),)), replace(one, prompt_tokens=2), replace(one, input_ids=[1, 2, 3, 5])]
    visits = [[one, other], [other, one], [one], *([each, other] for each in changed)]
    hashes = [Material(each, {}, {}, 1).sha256 for each in visits]
    assert len(set(hashes)) == len(visits)
    assert Material([replace(one), replace(other)], {}, {"a": 1}, 1).sha256 == hashes[0]
