"""The selection stage: files, ties, and inputs that do not fit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grads.data.records.record import Record, Turn, make_record, write_records
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.selection import registry
from grads.selection import run as module
from grads.selection.contract import Choice, Inputs, Method, Needs
from grads.selection.run import select_records
from grads.signals.store import read_store, write_store

Stores = Callable[..., Any]


def use(monkeypatch: pytest.MonkeyPatch, choose: Callable[..., Choice]) -> None:
    method = Method(name="made", title="Made", source="test", select=choose)
    monkeypatch.setattr(module, "find_method", lambda _name: method)


def test_meta_lies_next_to_the_selection(tmp_path: Path, stores_of: Stores) -> None:
    out = tmp_path / "0.5" / "0.parquet"
    meta = select_records("grads", {"neighbours": 3}, "0.5", 11, stores_of(9), {}, out)
    assert read_json(out.with_suffix(".json")) == meta
    weights = {"representativeness": 1.0, "diversity": 0.5, "similarity": 0.5, "magnitude": 0.0, "neighbours": 3}
    assert meta["parameters"] == weights | {
        "statistics": ["log_l2", "log_max_abs", "asymmetry"],
        "content": "hidden",
        "diversity_measure": "neighbours",
        "cut": "norms",
        "point": "warm",
        "layers": ["embedding", "head"],
        "encoder": None,
        "exact": False,
    }
    assert (meta["method"], meta["ratio"], meta["seed"], meta["requested"]) == ("grads", "0.5", 11, 4)
    assert sorted(path.name for path in out.parent.iterdir()) == ["0.json", "0.parquet"]


def test_stores_come_from_disk_as_the_probe_wrote_them(tmp_path: Path, stores_of: Stores) -> None:
    stores = stores_of(9)
    for name, store in stores.items():
        vectors = {kind: np.asarray(found) for kind, found in store.features.items()}
        write_store(tmp_path / name, store.signals, vectors)
    read = {name: read_store(tmp_path / name) for name in stores}
    for name, given in (("a", stores), ("b", read)):
        select_records("grads", {}, "0.5", 0, given, {}, tmp_path / f"{name}.parquet")
    assert pd.read_parquet(tmp_path / "a.parquet").equals(pd.read_parquet(tmp_path / "b.parquet"))


@pytest.mark.parametrize("ratio", ["0.5", "0.25"])
def test_a_method_knows_its_ratio(
    ratio: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores
) -> None:
    seen: list[tuple[str, int]] = []

    def choose(inputs: Inputs, _parameters: Any) -> Choice:
        seen.append((inputs.ratio, inputs.count))
        return Choice(np.zeros(len(inputs.pool)))

    use(monkeypatch, choose)
    select_records("made", {}, ratio, 0, stores_of(10), {}, tmp_path / "s.parquet")
    assert seen == [(ratio, {"0.5": 5, "0.25": 2}[ratio])]


def test_equal_scores_are_ordered_by_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores) -> None:
    use(monkeypatch, lambda inputs, _: Choice(np.arange(len(inputs.pool)) % 3))
    select_records("made", {}, "0.5", 0, stores_of(1000), {}, tmp_path / "s.parquet")
    table = pd.read_parquet(tmp_path / "s.parquet")
    assert table.sort_values(["score", "id"], ascending=[False, True])["id"].tolist() == table["id"].tolist()


def test_fewer_than_asked_is_a_shortfall(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores) -> None:
    use(monkeypatch, lambda inputs, _: Choice(np.arange(len(inputs.pool)), np.array([3, 1])))
    meta = select_records("made", {}, "0.5", 0, stores_of(10), {}, tmp_path / "s.parquet")
    assert (meta["requested"], meta["actual"], meta["shortfall"]) == (5, 2, 3)
    table = pd.read_parquet(tmp_path / "s.parquet")
    assert table["score"].tolist() == [3, 1, 9, 8, 7, 6, 5, 4, 2, 0]


def test_weights_have_mean_one_over_the_chosen_and_count_nothing_for_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores
) -> None:
    given = np.array([2.0, 5.0, 1.0, np.nan])
    use(monkeypatch, lambda *_: Choice(np.zeros(4), np.array([2, 0]), weights=given))
    select_records("made", {}, "0.5", 0, stores_of(4), {}, tmp_path / "s.parquet")
    assert pd.read_parquet(tmp_path / "s.parquet")["weight"].tolist() == [2 / 3, 4 / 3, 0, 0]
    use(monkeypatch, lambda *_: Choice(np.zeros(4)))
    select_records("made", {}, "0.5", 0, stores_of(4), {}, tmp_path / "s.parquet")
    assert pd.read_parquet(tmp_path / "s.parquet")["weight"].tolist() == [1, 1, 0, 0]
    use(monkeypatch, lambda *_: Choice(np.zeros(4), weights=-given))
    with pytest.raises(ValueError, match="weights that are not 4 numbers of at least 0"):
        select_records("made", {}, "0.5", 0, stores_of(4), {}, tmp_path / "s.parquet")


@pytest.mark.parametrize("order", [[0, 0], [0, 1, 2]])
def test_wrong_number_of_places_is_a_bug(
    order: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores
) -> None:
    use(monkeypatch, lambda inputs, _: Choice(np.zeros(len(inputs.pool)), np.array(order)))
    with pytest.raises(ValueError, match="some twice or more than 2"):
        select_records("made", {}, "0.5", 0, stores_of(4), {}, tmp_path / "s.parquet")


def test_nan_score_is_an_error_that_names_the_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores
) -> None:
    use(monkeypatch, lambda inputs, _: Choice(np.array([0.0, np.nan, 1.0])))
    stores = stores_of(3)
    second = sorted(stores["tokens"].signals["id"])[1]
    with pytest.raises(GradsError, match=f"1 of 3 records as NaN \\(first: {second}\\)"):
        select_records("made", {}, "0.5", 0, stores, {}, tmp_path / "s.parquet")
    assert not list(tmp_path.iterdir())


def test_missing_store_and_missing_reference_are_named(tmp_path: Path, stores_of: Stores) -> None:
    stores = stores_of(5)
    out = tmp_path / "s.parquet"
    with pytest.raises(GradsError, match="the signals 'warm' are needed"):
        select_records("grads_density", {}, "0.5", 0, {"tokens": stores["tokens"]}, {}, out)
    with pytest.raises(GradsError, match="the selection of arm 'grads' is needed"):
        select_records("random_length", {}, "0.5", 0, stores, {}, out)


def test_signals_of_other_records_are_refused(tmp_path: Path, stores_of: Stores) -> None:
    stores = stores_of(5)
    for wrong in (stores["warm"].signals.iloc[1:], stores["warm"].signals.assign(id=list("abcde"))):
        mixed = {**stores, "warm": replace(stores["warm"], signals=wrong.reset_index(drop=True))}
        with pytest.raises(GradsError, match=r"the signals 'warm' has . records that are not the pool's 5"):
            select_records("grads_density", {}, "0.5", 0, mixed, {}, tmp_path / "s.parquet")


def test_pool_without_records_or_with_a_record_twice_is_refused(tmp_path: Path, stores_of: Stores) -> None:
    tokens = stores_of(5)["tokens"]
    for signals, message in (
        (tokens.signals.iloc[:0], "no eligible training record"),
        (tokens.signals.assign(id=list("abcda")), "record a is twice"),
    ):
        with pytest.raises(GradsError, match=message):
            select_records("random", {}, "0.5", 0, {"tokens": replace(tokens, signals=signals)}, {}, tmp_path / "s")


def test_ratio_that_a_method_does_not_have_is_refused(tmp_path: Path, stores_of: Stores) -> None:
    with pytest.raises(GradsError, match=r"method 'full' has ratio 1 only, not 0\.5"):
        select_records("full", {}, "0.5", 0, stores_of(5), {}, tmp_path / "s.parquet")


def test_unknown_method_is_refused(tmp_path: Path, stores_of: Stores) -> None:
    assert "nothing" not in registry.methods()
    with pytest.raises(GradsError, match="no selection method 'nothing'"):
        select_records("nothing", {}, "0.5", 0, stores_of(5), {}, tmp_path / "s.parquet")


def test_records_that_a_probe_left_out_are_in_no_pool_that_builds_on_it(tmp_path: Path, stores_of: Stores) -> None:
    stores = stores_of(9)
    gone = stores["tokens"].signals["id"][3]
    warm = stores["warm"].signals
    stores["warm"] = replace(stores["warm"], signals=warm[warm["id"] != gone], left_out=(gone,))
    meta = select_records("grads", {}, "0.5", 0, stores, {}, tmp_path / "grads.parquet")
    assert (meta["eligible"], meta["left_out"]) == (8, [gone])
    assert gone not in pd.read_parquet(tmp_path / "grads.parquet")["id"].tolist()
    # What refers to it has the same pool; what reads no signal has all records.
    tokens = {"tokens": stores["tokens"]}
    references = {"grads": tmp_path / "grads.parquet"}
    meta = select_records("random_length", {}, "0.5", 0, tokens, references, tmp_path / "r.parquet")
    assert (meta["eligible"], meta["left_out"]) == (8, [gone])
    assert select_records("random", {}, "0.5", 0, tokens, {}, tmp_path / "s.parquet")["eligible"] == 9


def test_validation_records_have_rows_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores
) -> None:
    stores, seen = stores_of(5), []
    stores["base-validation"] = stores_of(3, seed=9)["base"]
    needs = Needs({"base": frozenset({"hidden"}), "base-validation": frozenset({"hidden"})})

    def choose(inputs: Inputs, _: object) -> Choice:
        seen.append(inputs)
        return Choice(np.zeros(len(inputs.pool)))

    method = Method(name="made", title="Made", source="test", select=choose, needs=lambda _: needs, uses_target=True)
    monkeypatch.setattr(module, "find_method", lambda _name: method)
    select_records("made", {}, "0.5", 0, stores, {}, tmp_path / "s.parquet")
    given = stores["base-validation"]
    assert seen[0].signals["base-validation"]["id"].tolist() == sorted(given.signals["id"])
    first = int(given.signals["id"].argmin())
    assert np.array_equal(
        seen[0].features["base-validation"]["hidden"][0:1], given.features["hidden"][first : first + 1]
    )


def test_texts_are_those_of_the_pool_in_its_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores
) -> None:
    train = [make_record(f"Q{i}", "", "A", metadata={"quality": float(i)}) for i in range(8)]
    files = {"train": tmp_path / "train.parquet", "validation": tmp_path / "validation.parquet"}
    write_records(files["train"], train)
    write_records(files["validation"], [make_record("V1", "", "A"), make_record("V0", "", "A")])
    tokens = stores_of(6)["tokens"].signals.assign(id=[record.id for record in train[2:]])
    seen: list[Inputs] = []
    needs = Needs(texts=frozenset(files))
    method = Method(
        name="made",
        title="Made",
        source="t",
        select=lambda i, _: seen.append(i) or Choice(np.zeros(6)),
        needs=lambda _: needs,
    )
    monkeypatch.setattr(module, "find_method", lambda _name: method)
    stores = {"tokens": replace(stores_of(6)["tokens"], signals=tokens)}
    select_records("made", {}, "0.5", 0, stores, {}, tmp_path / "s.parquet", files)
    texts = seen[0].texts
    assert texts["train"]["id"].tolist() == seen[0].pool["id"].tolist()
    assert texts["train"].set_index("instruction")["quality"].to_dict() == {f"Q{i}": i for i in range(2, 8)}
    assert sorted(texts["validation"]["instruction"]) == ["V0", "V1"]
    with pytest.raises(GradsError, match="the texts of 'validation' are needed and not given"):
        select_records("made", {}, "0.5", 0, stores, {}, tmp_path / "s.parquet", {"train": files["train"]})
    write_records(files["train"], train[:5])
    with pytest.raises(GradsError, match=r"train\.parquet has 3 of the pool's 6 records: delete what is outdated"):
        select_records("made", {}, "0.5", 0, stores, {}, tmp_path / "s.parquet", files)


def test_the_pool_is_what_both_the_trained_model_and_the_scorer_can_read(tmp_path: Path, stores_of: Stores) -> None:
    whole = stores_of(10)
    ids = sorted(whole["tokens"].signals["id"])

    def of(name: str, kept: list[str], **changes: Any) -> Any:
        table = whole[name].signals
        return replace(
            whole[name], signals=table[table["id"].isin(kept)].reset_index(drop=True), features={}, **changes
        )

    # The trained model cannot read the last record, the scorer not the first two; its probe left out the third.
    stores = {"tokens": of("tokens", ids[:9]), "warm": of("warm", ids[3:], left_out=(ids[2],))}
    given = ("grads_density", {}, "0.5", 0, stores, {})
    meta = select_records(*given, tmp_path / "scored.parquet", scorer=of("tokens", ids[2:]))
    assert (meta["eligible"], meta["left_out"], meta["left_out_by_scorer"]) == (6, ids[:3], 2)
    assert sorted(pd.read_parquet(tmp_path / "scored.parquet")["id"]) == ids[3:9]
    with pytest.raises(GradsError, match="the signals 'warm' has 7 records that are not the pool's 8"):
        select_records(*given, tmp_path / "s.parquet")
    # An arm of the trained model's own signals that refers to it has its pool.
    references = {"grads": tmp_path / "scored.parquet"}
    meta = select_records(
        "random_length", {}, "0.5", 0, {"tokens": stores["tokens"]}, references, tmp_path / "r.parquet"
    )
    assert (meta["eligible"], meta["left_out_by_scorer"]) == (6, 0)


def test_a_selection_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores) -> None:
    nothing = np.empty(0, dtype=int)
    use(monkeypatch, lambda inputs, _: Choice(np.zeros(len(inputs.pool)), nothing, {"discarded": 9}))
    with pytest.raises(GradsError, match=r"'made' keeps none of 9 records \(discarded: 9\): change its parameters"):
        select_records("made", {}, "0.5", 0, stores_of(9), {}, tmp_path / "s.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("weights", "effective"),
    [([1.0] * 4, 4.0), ([3.0, 1.0, 0.0, 0.0], 16 / 10), ([7.0, 0.0, 0.0, 0.0], 1.0), ([0.0] * 4, 4.0)],
)
def test_weights_come_with_the_records_that_they_amount_to(
    weights: list[float], effective: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stores_of: Stores
) -> None:
    def choose(inputs: Inputs, _parameters: Any) -> Choice:
        every = np.array([*weights, *[9.0] * (len(inputs.pool) - 4)])
        return Choice(np.zeros(len(inputs.pool)), np.arange(4), {"own": 1}, every)

    use(monkeypatch, choose)
    meta = select_records("made", {}, "0.5", 0, stores_of(8), {}, tmp_path / "one.parquet")
    assert meta["notes"] == {"own": 1, "effective_records": pytest.approx(effective, abs=1e-3)}


@pytest.mark.parametrize("name", list(registry.methods()))
def test_every_method_that_weighs_says_how_much(
    name: str, select: Callable[..., Any], needed_by: Callable[..., Any]
) -> None:
    table, meta = select(name, "0.5", needed_by(name, 30))
    kept = table["weight"][table["kept"]]
    if name in ("craig", "grad_match", "pgm"):
        assert kept.nunique() > 1
        assert meta["notes"]["effective_records"] == pytest.approx(kept.sum() ** 2 / (kept**2).sum(), abs=1e-3)
        assert 1 <= meta["notes"]["effective_records"] < len(kept)
    else:
        assert kept.nunique() <= 1
        assert "effective_records" not in meta["notes"]


def conversation(number: int, *loss: bool) -> Record:
    """Return a record after as many turns, whose answers carry loss or do not."""
    turns = [turn for carries in loss for turn in (Turn("user", "Q"), Turn("assistant", "A", carries))]
    return make_record(f"Question {number}", "", f"Answer {number}", turns=tuple(turns))


def test_losses_of_different_answers_are_not_compared(tmp_path: Path, needed_by: Callable[..., Any]) -> None:
    stores, records, out = needed_by("ifd", 6), tmp_path / "train.parquet", tmp_path / "one.parquet"
    ids = sorted(stores["tokens"].signals["id"])

    def write(*made: Record) -> None:
        write_records(records, [replace(one, id=id_) for id_, one in zip(ids, made, strict=True)])

    plain = [conversation(number, *[False] * (number % 3)) for number in range(6)]
    write(*plain)
    meta = select_records("ifd", {}, "0.5", 0, stores, {}, out, records=records)
    assert meta["actual"] == 3
    write(*plain[:4], conversation(4, False, True), conversation(5, True))
    said = rf"method 'ifd' compares the loss .*, and 2 of 6 records have earlier answers .* \(first: {ids[4]}\): set"
    with pytest.raises(GradsError, match=said):
        select_records("ifd", {}, "0.5", 0, stores, {}, out, records=records)
    # Methods that compare nothing of the kind take all answers, and records that are not in the pool do not count.
    select_records("random", {}, "0.5", 0, stores, {}, out, records=records)
    left_out = {
        name: replace(store, left_out=tuple(ids[4:])) if name == "base" else store for name, store in stores.items()
    }
    assert select_records("ifd", {}, "0.5", 0, left_out, {}, out, records=records)["eligible"] == 4
