"""The stage functions that write a study's data."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grads.config.domains import Domain, Splits
from grads.config.general import General, GeneralText, Task, TextFile
from grads.config.sources import ArchiveSource, FileSource, GlossarySource, HubDataSource
from grads.data.prepare import domain_records, prepare_domains, prepare_general
from grads.data.records.record import load_records
from grads.evaluation.benchmarks import TaskSpec, load_tasks
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, read_jsonl
from grads.study.paths import hub_path


def own_domain(path: Path, number: int = 20) -> Domain:
    rows = [{"instruction": f"Q{i}", "output": f"A{i}"} for i in range(number)]
    path.write_text("\n".join(json.dumps(row) for row in [*rows, rows[0]]))
    return Domain(title="Own", source=FileSource(kind="file", path=str(path)))


def test_domains_of_both_kinds(tmp_path: Path, wordnet_archive: Path, wordnet_member: str) -> None:
    source = GlossarySource(kind="glossary", archive="wordnet", member=wordnet_member, trees=["loan.n.01"])
    domains = {"finance": Domain(title="Finance", source=source), "own": own_domain(tmp_path / "own.jsonl")}
    out = tmp_path / "data"
    prepare_domains(domains, Splits(train=5, validation=2, test=3), {"wordnet": wordnet_archive}, out)
    for name in domains:
        parts = {part: load_records(out / name / f"{part}.parquet") for part in ("train", "validation", "test")}
        assert {part: len(records) for part, records in parts.items()} == {"train": 5, "validation": 2, "test": 3}
        assert len({record.id for records in parts.values() for record in records}) == 10
    assert load_records(out / "finance" / "test.parquet")[0].instruction.startswith('In finance, what does "')
    counts = read_json(out / "own" / "counts.json")
    assert counts["source"] == {"read": 21, "empty": 0, "duplicate": 1}
    assert counts["splits"]["given"] == 20
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    prepare_domains(domains, Splits(train=5, validation=2, test=3), {"wordnet": wordnet_archive}, out)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


def test_a_pilot_is_tested_on_the_validation_records_and_reads_no_test_records(tmp_path: Path) -> None:
    domains = {"own": own_domain(tmp_path / "own.jsonl")}
    for folder, tuning in (("study", False), ("pilot", True)):
        splits = Splits(train=5, validation=2, test=3, tuning=tuning)
        prepare_domains(domains, splits, {}, tmp_path / folder)
    study, pilot = (
        {part: load_records(tmp_path / folder / "own" / f"{part}.parquet") for part in ("train", "validation", "test")}
        for folder in ("study", "pilot")
    )
    assert pilot == {"train": study["train"], "validation": [], "test": study["validation"]}
    counts = read_json(tmp_path / "pilot/own/counts.json")["splits"]
    assert {part: counts[part] for part in ("train", "validation", "test", "unused")} == {
        "train": 5,
        "validation": 0,
        "test": 2,
        "unused": 13,
    }


def test_nothing_is_written_when_a_domain_fails(tmp_path: Path) -> None:
    domains = {"a": own_domain(tmp_path / "a.jsonl"), "b": own_domain(tmp_path / "b.jsonl", 3)}
    with pytest.raises(GradsError, match="domain 'b'"):
        prepare_domains(domains, Splits(validation=2, test=3), {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    source = GlossarySource(kind="glossary", archive="wordnet", member="x", trees=["loan.n.01"])
    with pytest.raises(GradsError, match="'wordnet' is not among"):
        prepare_domains({"a": Domain(title="A", source=source)}, Splits(validation=0, test=1), {}, tmp_path / "out")


def test_a_repeated_row_connects_two_groups(tmp_path: Path) -> None:
    rows = [{"instruction": f"Q{g}{i}", "output": f"A{g}{i}", "group": g} for g in "ab" for i in range(3)]
    rows += [{"instruction": "Q", "output": "A", "group": g} for g in "ab"]
    rows += [{"instruction": f"Q{i}", "output": f"A{i}"} for i in range(12)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    domains = {"own": Domain(title="Own", source=FileSource(kind="file", path=str(tmp_path / "own.jsonl")))}
    for seed in range(5):
        prepare_domains(domains, Splits(validation=4, test=4, seed=seed), {}, tmp_path / "out")
        kept = {part: load_records(tmp_path / f"out/own/{part}.parquet") for part in ("train", "validation", "test")}
        assert len([part for part, records in kept.items() if any(record.group for record in records)]) == 1
        counts = read_json(tmp_path / "out/own/counts.json")
        assert (counts["source"]["duplicate"], counts["splits"]["duplicate"]) == (0, 1)


def test_a_domain_leaves_what_it_names_in_every_file_of_its_folder(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": "A", "tool_calls": [{"id": 1}]}
    for number in range(3):
        rows = [{"messages": [{"role": "user", "content": f"Q{number}{i}"}, call], "id": i} for i in range(2)]
        path = tmp_path / "own" / f"part-{number}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(map(json.dumps, rows)))
    source = FileSource(kind="file", path=str(tmp_path / "own"))
    with pytest.raises(GradsError, match=r"part-0\.jsonl:1: turn 2 .*'tool_calls'.*'leave'"):
        domain_records(Domain(title="Own", source=source), {}, tmp_path)
    records, counts = domain_records(Domain(title="Own", source=source, leave=["tool_calls"]), {}, tmp_path)
    assert [record.instruction for record in records] == ["Q00", "Q01", "Q10", "Q11", "Q20", "Q21"]
    assert [record.own_id for record in records] == ["0", "1"] * 3
    assert counts == {"read": 6, "empty": 0, "duplicate": 0}


def test_a_member_of_an_archive_is_a_domain(tmp_path: Path) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["q", "a"], *([f"Q{i}", f"A{i}"] for i in range(8)), ["Q0", "A0"], ["", "A"]])
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr("some/data.csv", text.getvalue())
    source = ArchiveSource(kind="pypi", archive="some", member="some/data.csv")
    domain = Domain(title="Own", source=source, fields={"instruction": "q", "output": "a"})
    records, counts = domain_records(domain, {"some": tmp_path / "some.whl"}, tmp_path)
    assert [(r.instruction, r.output) for r in records] == [(f"Q{i}", f"A{i}") for i in range(8)]
    assert counts == {"read": 10, "empty": 1, "duplicate": 1}
    bare = Domain(title="Own", source=source)
    with pytest.raises(GradsError, match=r"some\.whl:some/data\.csv:2: 'instruction' is missing"):
        domain_records(bare, {"some": tmp_path / "some.whl"}, tmp_path)


def test_a_data_set_of_the_hub_is_read_where_it_was_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = HubDataSource(kind="hub", id="owner/chat", revision="main")
    said = [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 2, "abcd", strict=True)]
    hub_path(source).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([{"messages": said}]), hub_path(source))
    for loss_turns in ("last", "all"):
        (record,), _ = domain_records(Domain(title="C", source=source, loss_turns=loss_turns), {}, tmp_path)
        assert [turn.loss for turn in record.turns] == [False, loss_turns == "all"]
    hub_path(source).unlink()
    with pytest.raises(GradsError, match=r"resources/hub/datasets/owner--chat-[0-9a-f]{12}\.parquet is not there"):
        domain_records(Domain(title="C", source=source), {}, tmp_path)


def general(folder: Path, task_file: str, sample: int = 4) -> General:
    (folder / "items.jsonl").write_text(
        "\n".join(json.dumps({"question": f"Q{i}", "choices": ["a", "b"], "gold": i % 2}) for i in range(9))
    )
    (folder / "texts.jsonl").write_text("\n".join(json.dumps({"text": f"passage {i}"}) for i in range(9)))
    (folder / "task.yaml").write_text(task_file)
    data = FileSource(kind="file", path=str(folder / "items.jsonl"))
    task = Task(title="Own", yaml=str(folder / "task.yaml"), data=data, sample=sample, chance=0.5)
    text = GeneralText(source=TextFile(kind="file", path=str(folder / "texts.jsonl")), sample=3)
    return General(tasks={"own": task}, text=text)


@pytest.mark.parametrize("written", ["DATA", '"DATA"', "'DATA'"])
def test_general_tasks_name_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_general(general(tmp_path, f"task: own\nfiles:\n  test: {written}\n"), {}, Path("results/general"))
    out = tmp_path / "results" / "general"
    assert (out / "own.yaml").read_text() == 'task: own\nfiles:\n  test: "results/general/own.jsonl"\n'
    rows = read_jsonl(out / "own.jsonl")
    assert len(rows) == 4
    assert all(set(row) == {"question", "choices", "gold"} for row in rows)
    assert len(read_jsonl(out / "text.jsonl")) == 3
    counts = read_json(out / "counts.json")
    assert (counts["own"]["read"], counts["own"]["sample"], counts["text"]["sample"]) == (9, 4, 3)


def test_bad_task_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match=r"task.yaml has the word DATA 0 times"):
        prepare_general(general(tmp_path, "task: own\n"), {}, tmp_path / "out")
    with pytest.raises(GradsError, match=r"general.tasks.own: 'sample' asks for 10 of 9"):
        prepare_general(general(tmp_path, "DATA", sample=10), {}, tmp_path / "out")
    config = general(tmp_path, "DATA")
    (tmp_path / "task.yaml").unlink()
    with pytest.raises(GradsError, match=r"task.yaml is not there"):
        prepare_general(config, {}, tmp_path / "out")


TASK = """task: own
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: %s
doc_to_choice: choices
doc_to_target: gold
"""


def test_python_next_to_a_task_file_goes_with_it_where_code_is_allowed(tmp_path: Path) -> None:
    config = general(tmp_path, TASK % "!function utils.prompt")
    with pytest.raises(GradsError, match=r"task\.yaml names Python by !function.*general\.allow_code"):
        prepare_general(config, {}, tmp_path / "out")
    (tmp_path / "utils.py").write_text("def prompt(doc):\n    return f\"Asked: {doc['question']}\"\n")
    prepare_general(config.model_copy(update={"allow_code": True}), {}, tmp_path / "out")
    written = (tmp_path / "out" / "own.yaml").read_text()
    assert "doc_to_text: !function own.utils.prompt\n" in written
    assert (tmp_path / "out" / "own" / "utils.py").read_text() == (tmp_path / "utils.py").read_text()
    with load_tasks({"own": TaskSpec(tmp_path / "out" / "own.yaml", "plain", "acc", allow_code=True)}) as tasks:
        (task,) = tasks["own"].loaded["tasks"].values()
        assert task.doc_to_text(task.eval_docs[0]).startswith("Asked: Q")
    (tmp_path / "utils.py").write_text("def prompt(doc):\n    return 'Other'\n")
    prepare_general(config.model_copy(update={"allow_code": True}), {}, tmp_path / "out")
    assert (tmp_path / "out" / "own.yaml").read_text() != written


def test_every_item_that_is_drawn_is_filled_in(tmp_path: Path) -> None:
    config = general(tmp_path, TASK % '"x {{ question[1:] | int // (question[1:] | int - 7) }}"', sample=9)
    with pytest.raises(GradsError, match=r"'doc_to_text' fails \(ZeroDivisionError"):
        prepare_general(config, {}, tmp_path / "out")
