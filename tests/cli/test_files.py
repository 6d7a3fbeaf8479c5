import functools
import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from grads.runtime.manifest import write_manifests

from .conftest import QUICK, rows


@pytest.fixture
def select(on_data):
    return functools.partial(on_data, "select")


def test_grads_selects_the_users_records_as_they_are(select, data, tmp_path):
    result = select("subset.jsonl", "--ratio", "0.25")
    chosen, given = rows(tmp_path / "subset.jsonl"), rows(data)
    assert len(chosen) == 5
    assert [given.index(row) for row in chosen] == sorted(given.index(row) for row in chosen)
    assert list(chosen[0]) == ["number", "output", "instruction", "tags"]
    assert "kept 5 of 20 eligible records (22 read, 1 empty, 1 duplicate, 0 too long)" in result.output
    scores = pd.read_csv(tmp_path / "subset.scores.csv")
    assert list(scores.columns) == ["record", "id", "score", "rank", "kept", "weight"]
    assert [given[number - 1] for number in scores.loc[scores["kept"], "record"]] == chosen
    assert sorted(scores["rank"]) == list(range(1, 21))
    manifest = json.loads((tmp_path / "subset.manifest.json").read_text())
    assert str(data) in manifest["inputs"]
    assert manifest["settings"]["selection"]["method"] == "grads"


def test_what_is_there_is_used_again(select, tmp_path):
    select("a.jsonl", "--ratio", "0.25")
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "grads-work").glob("*-*")}
    result = select("b.jsonl", "--ratio", "0.5", "--method", "random_length", "--parameter", "reference=grads")
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "grads-work").glob("*-*")}
    assert parts.items() <= after.items()
    assert "warm: there already" in result.output
    assert "preliminary epoch: 20 records" not in result.output
    assert {path.name.rpartition("-")[0] for path in after.keys() - parts.keys() if path.is_dir()} == {
        "selection-grads",
        "selection-random_length",
    }
    assert len(rows(tmp_path / "b.jsonl")) == 10


def test_other_settings_make_other_signals(select, tmp_path):
    select("a.jsonl", "--ratio", "0.25", "--method", "grads_density")
    select("b.jsonl", "--ratio", "0.25", "--method", "grads_density", "--training", "epochs=3", "--seed", "1")
    names = [path.name.rpartition("-")[0] for path in (tmp_path / "grads-work").iterdir() if path.is_dir()]
    assert (names.count("warm"), names.count("tokens"), names.count("model")) == (2, 1, 1)


def test_the_same_command_gives_the_same_subset_elsewhere(select, tmp_path):
    select("a.jsonl", "--ratio", "0.5", "--method", "random")
    select("b.jsonl", "--ratio", "0.5", "--method", "random", "--work", tmp_path / "another")
    select("c.jsonl", "--ratio", "0.5", "--method", "random", "--seed", "1")
    a, b, c = (rows(tmp_path / f"{name}.jsonl") for name in "abc")
    assert a == b != c
    assert not any(path.name.startswith("preliminary") for path in (tmp_path / "another").iterdir())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ratio", "2"], "--ratio: a ratio is above 0 and at most 1"),
        (["--ratio", "0.5", "--method", "gradss"], "there is no selection method 'gradss': did you mean 'grads'?"),
        (["--ratio", "0.5", "--method", "full"], "method 'full' is a control that selects nothing"),
        (["--ratio", "0.5", "--method", "full_steps"], "is a control that selects nothing"),
        (["--ratio", "0.5", "--parameter", "diversty=1"], "--parameter: .*'diversity'"),
        (["--ratio", "0.5", "--parameter", "diversity"], "write --parameter KEY=VALUE"),
        (["--ratio", "0.5", "--training", "epoch=1"], "--training: unknown key 'epoch': did you mean 'epochs'"),
        (["--ratio", "0.5", "--training", "epochs=0"], "--training: 'epochs': .*found 0"),
        (["--ratio", "0.5", "--template", "chatml"], "--template chatml: did you mean 'chat'"),
        (["--ratio", "0.5", "--training", "max_length=8"], "none of 20 records fits"),
        (["--ratio", "0.5", "--method", "random_length", "--parameter", "reference=random_length"], "in a circle"),
    ],
)
def test_a_mistake_is_one_sentence(select, options, sentence):
    result = select("subset.jsonl", *options, status=2)
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert pd.Series([last]).str.contains(sentence).all(), last


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--model": "nowhere"}, "--model nowhere: there is no such folder or file"),
        ({"--model": "."}, "has no config.json"),
        ({"--model": "notes.txt"}, "--model notes.txt is a file, and no .gguf one: give"),
        ({"--data": "absent.jsonl"}, "--data absent.jsonl is not there"),
        ({"--data": "folder.jsonl"}, "--data folder.jsonl is a folder"),
        ({"--data": "empty.jsonl"}, "empty.jsonl holds no record"),
        ({"--data": "empty.csv"}, "empty.csv holds no record"),
        ({"--data": "empty.json"}, "empty.json: not JSON"),
        ({"--data": "empty.parquet"}, "empty.parquet: not readable as Parquet"),
        ({"--data": "notes.txt"}, "notes.txt is none of .jsonl, .json, .csv, .parquet"),
        ({"--data": "notes.jsonl"}, "notes.jsonl:1: not JSON"),
        ({"--out": "subset.csv"}, "ends in .jsonl"),
        ({"--out": "folder.jsonl"}, "--out folder.jsonl is a folder"),
        ({"--out": "notes.txt/subset.jsonl"}, "nothing can be written to the folder notes.txt"),
        ({"--work": "notes.txt"}, "--work notes.txt: nothing can be written"),
        ({"--encoder": "a"}, "--encoder a: found no NAME=FOLDER"),
        ({"--encoder": "a/b=folder.jsonl"}, "--encoder a/b=folder.jsonl: 'a/b' is no name"),
        ({"--encoder": "a-validation=folder.jsonl"}, "--encoder a-validation=folder.jsonl: 'a-validation' is no name"),
        ({"--encoder": "a=absent"}, "--encoder a=absent: there is no such folder"),
        ({"--parameter": "encoder=b"}, "--parameter encoder=b: no encoder has that name"),
        ({"--field": "question=q"}, "--field question: did you mean 'completion'"),
        ({"--field": "input=answer"}, "'fields' (or --field) names 'answer' for input, but no row has it"),
        ({"--loss-turns": "first"}, "--loss-turns first: valid names are 'all', 'last'"),
        ({"--ratio": "auto", "--parameter": "representativeness=0"}, "--ratio auto: method 'grads'"),
    ],
)
def test_a_wrong_path_or_name_is_one_sentence(grads, data, tiny_model_folder, tmp_path, monkeypatch, change, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.jsonl").mkdir()
    for suffix in ("jsonl", "json", "csv", "parquet"):
        (tmp_path / f"empty.{suffix}").write_text("")
    for name in ("notes.txt", "notes.jsonl"):
        (tmp_path / name).write_text("notes")
    options = {"--model": tiny_model_folder, "--data": data, "--out": tmp_path / "s.jsonl", "--ratio": "0.5"} | change
    result = grads("select", *(part for pair in options.items() for part in pair), status=2)
    assert sentence in result.stderr.splitlines()[-1]


def test_the_gradients_during_the_preliminary_epoch(select, tmp_path):
    select("during.jsonl", "--ratio", "auto", "--parameter", "point=during")
    select("warm.jsonl", "--ratio", "auto")
    auto = json.loads((tmp_path / "during.manifest.json").read_text())["settings"]["selection"]
    assert auto["ratio"] == "auto"
    assert 0 < auto["actual"] == len(rows(tmp_path / "during.jsonl")) < 20
    scores = [pd.read_csv(tmp_path / f"{name}.scores.csv") for name in ("during", "warm")]
    assert not scores[0]["score"].equals(scores[1]["score"])
    (during,) = (path for path in (tmp_path / "grads-work").glob("during-*") if path.is_dir())
    (warm,) = (path for path in (tmp_path / "grads-work").glob("preliminary-*") if path.is_dir())
    # Watching a run does not change it.
    name = "adapter/adapter_model.safetensors"
    assert (during / name).read_bytes() == (warm / name).read_bytes()


def test_an_adapter_is_measured_only_where_there_is_one(select, tmp_path):
    layers = ("--ratio", "0.5", "--method", "grads_density", "--parameter", "layers=[adapter]", "--parameter")
    result = select("a.jsonl", *layers, "point=base", "--training", "weights=full", status=2)
    assert "the gradients of an adapter are asked for, which needs lora" in result.stderr
    select("b.jsonl", *layers, "point=base")
    select("c.jsonl", *layers, "point=base", "--training", "adapter.alpha=4")
    assert len([path for path in (tmp_path / "grads-work").glob("base-*") if path.is_dir()]) == 2


def test_sentences_of_an_encoder(select, tiny_model_folder, tmp_path):
    options = ("--ratio", "0.25", "--parameter", "encoder=tiny", "--parameter", "representativeness=0")
    select("a.jsonl", *options, "--encoder", f"tiny={tiny_model_folder}", "--encoder", f"other={tiny_model_folder}")
    select("b.jsonl", "--ratio", "0.25", "--parameter", "representativeness=0")
    assert len(rows(tmp_path / "a.jsonl")) == 5
    a, b = (pd.read_csv(tmp_path / f"{name}.scores.csv")["score"] for name in "ab")
    assert not a.equals(b)
    made = {path.name.rpartition("-")[0] for path in (tmp_path / "grads-work").iterdir() if path.is_dir()}
    assert {"encoder", "sentences"} <= made


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet"])
def test_data_of_every_format(grads, tiny_model_folder, tmp_path, suffix):
    given = [{"n": n, "question": f"What is {n}?", "answer": f"It is é{n * n}.", "at": None} for n in range(12)]
    path, table = tmp_path / f"my data ü.{suffix}", pd.DataFrame(given)
    if suffix == "parquet":
        table["at"] = pd.date_range("2020-01-01", periods=12)
        table["share"] = [float("nan"), *[0.5] * 11]
        table.to_parquet(path)
    elif suffix == "csv":
        table.to_csv(path, index=False)
    else:
        path.write_text(json.dumps(given), encoding="utf-8")
    out = tmp_path / "sub set" / "öut.jsonl"
    fields = ("--field", "prompt=question", "--field", "completion=answer", "--method", "random", "--ratio", "1")
    grads("select", "--model", tiny_model_folder, "--data", path, *fields, "--out", out)
    expected = {
        "json": given,
        "csv": [row | {"n": str(row["n"]), "at": ""} for row in given],
        "parquet": [
            row | {"at": f"2020-01-{row['n'] + 1:02}T00:00:00", "share": 0.5 if row["n"] else None} for row in given
        ],
    }[suffix]
    assert rows(out) == expected


def test_conversations_are_kept_whole(grads, tiny_model_folder, tmp_path):
    turns = [[{"role": "user", "content": f"Q{n}"}, {"role": "assistant", "content": f"A{n}"}] * 2 for n in range(6)]
    path, out = tmp_path / "chats.jsonl", tmp_path / "subset.jsonl"
    path.write_text("".join(json.dumps({"messages": said, "half": "\ud800"}) + "\n" for said in turns))
    files = ("--model", tiny_model_folder, "--data", path, "--out", out)
    grads("select", *files, "--method", "random", "--ratio", "0.5", "--loss-turns", "all")
    assert len(rows(out)) == 3
    assert all(row["messages"] in turns and row["half"] == "\ud800" for row in rows(out))


def test_a_column_that_json_has_not_is_refused_before_the_work(grads, tiny_model_folder, tmp_path):
    path, out = tmp_path / "train.parquet", tmp_path / "subset.jsonl"
    pd.DataFrame([{"prompt": "Q", "completion": "A", "raw": b"raw"}]).to_parquet(path)
    options = ("--model", tiny_model_folder, "--data", path, "--out", out, "--ratio", "0.5", "--method", "random")
    result = grads("select", *options, status=2)
    assert "train.parquet, record 1: this row cannot be written as JSON (Object of type bytes" in result.stderr
    assert not list((tmp_path / "grads-work").iterdir())


def test_the_data_are_never_overwritten(grads, data, tiny_model_folder):
    before = data.read_bytes()
    options = ("--model", tiny_model_folder, "--data", data, "--out", data, "--ratio", "0.5")
    assert "is the data itself" in grads("select", *options, status=2).stderr
    assert data.read_bytes() == before


def test_train_evaluate_and_metrics_in_turn(grads, data, tiny_model_folder, tmp_path):
    files = ("--model", tiny_model_folder, "--data", data)
    grads("train", *files, "--out", tmp_path / "adapter", *QUICK)
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    assert json.loads((tmp_path / "adapter.training.json").read_text())["records"] == 20
    assert not list((tmp_path / "grads-work").glob("training-*"))
    out = tmp_path / "answers.jsonl"
    options = ("--out", out, "--max-new-tokens", "4", "--precision", "float32")
    result = grads("evaluate", *files, "--trained", tmp_path / "adapter", *options, "--metric", "chrf")
    assert len(rows(out)) == 20
    assert result.stdout.startswith("chrf  ")
    assert json.loads((tmp_path / "answers.metrics.json").read_text())["capped"]["n"] == 20
    assert (tmp_path / "answers.manifest.json").is_file()
    absent = grads("evaluate", *files, "--trained", tmp_path / "adaptr", *options, status=2)
    assert "--trained" in absent.stderr


def test_metrics_of_another_tools_predictions(grads, tmp_path):
    path = tmp_path / "predictions.jsonl"
    same = {"reference": "the cat sat on the mat", "prediction": "the cat sat on the mat"}
    path.write_text(json.dumps(same) + "\n")
    result = grads("metrics", path)
    assert result.stdout.splitlines()[0].startswith("bleu  100.0000  n=1  nrefs:1")
    assert result.stdout.splitlines()[0].endswith("  brevity_penalty=1.0000  length_ratio=1.0000")
    assert set(json.loads((tmp_path / "predictions.metrics.json").read_text())) == {"bleu", "chrf"}
    assert "did you mean 'bleu'" in grads("metrics", path, "--metric", "blue", status=2).stderr
    assert "METEOR needs it" in grads("metrics", path, "--metric", "meteor", "--wordnet", "no", status=2).stderr
    assert "no.jsonl is not there" in grads("metrics", "no.jsonl", status=2).stderr
    assert "ends in .json," in grads("metrics", path, "--out", path, status=2).stderr
    assert json.loads(path.read_text()) == same
    assert "nothing can be written" in grads("metrics", path, "--out", path / "m.json", status=2).stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("notes", "wrong.txt:1: not JSON"),
        ('{"reference": "a", "prediction": 1}', "wrong.txt:1: there is no text 'prediction'"),
        ('{"prediction": "a"}', "wrong.txt:1: there is no text 'reference'"),
        ('{"reference": "a", "prediction": "b", "references": "c"}', "wrong.txt:1: 'references' is no list of texts"),
        ("", "wrong.txt is empty"),
    ],
)
def test_wrong_predictions_are_one_sentence(grads, tmp_path, content, sentence):
    (tmp_path / "wrong.txt").write_text(content)
    assert sentence in grads("metrics", tmp_path / "wrong.txt", status=2).stderr
    assert "is a folder" in grads("metrics", tmp_path, status=2).stderr


def test_metrics_of_chinese_answers(grads, tmp_path):
    path = tmp_path / "predictions.jsonl"
    row = {"reference": "应当赔偿", "references": ["应赔偿"], "prediction": "应赔偿"}
    path.write_text(json.dumps(row) + "\n")
    result = grads(
        "metrics", path, "--metric", "exact_match", "--metric", "meteor", "--language", "zh", "--wordnet", "no"
    )
    assert result.stdout.splitlines()[0].startswith("exact_match  1.0000  n=1  nrefs:2|norm:lower,no-punctuation|tok:")
    assert "did you mean" in grads("metrics", path, "--language", "zhh", status=2).stderr


def test_metrics_with_wordnet(grads, tmp_path, wordnet_folder):
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps({"reference": "a sofa", "prediction": "a couch"}) + "\n")
    result = grads("metrics", path, "--metric", "meteor", "--wordnet", wordnet_folder)
    assert float(result.stdout.split()[1]) > 0.9


def test_fewer_records_than_asked_for_are_said(select, data, tmp_path):
    (tmp_path / "few.jsonl").write_text("".join(data.read_text("utf-8").splitlines(keepends=True)[:3]))
    result = select("s.jsonl", "--ratio", "0.5", "--method", "subset", "--parameter", f"file={tmp_path / 'few.jsonl'}")
    assert "kept 3 instead of 10 of 20 eligible records" in result.output


def test_settings_that_an_evaluation_does_not_read_are_refused(on_data):
    result = on_data("evaluate", "p.jsonl", status=2)  # with those of the other commands
    assert "nothing is trained here, and only max_length is read: remove it" in " ".join(result.stderr.split())


def test_metrics_of_the_same_predictions_are_kept(grads, tmp_path):
    path, measured = tmp_path / "pred.jsonl", tmp_path / "pred.metrics.json"
    path.write_text(json.dumps({"reference": "a b c d e", "prediction": "a b c d"}) + "\n")
    grads("metrics", path, "--metric", "bleu", "--metric", "chrf")
    first = json.loads(measured.read_text())
    grads("metrics", path, "--metric", "rouge_l")
    second = json.loads(measured.read_text())
    assert set(second) == {"bleu", "chrf", "rouge_l"}
    assert {name: second[name] for name in first} == first
    # Other predictions of the same name have nothing to do with what was measured.
    path.write_text(json.dumps({"reference": "x", "prediction": "y"}) + "\n")
    grads("metrics", path, "--metric", "exact_match")
    assert set(json.loads(measured.read_text())) == {"exact_match"}


def test_what_evaluate_measured_is_kept(grads, tmp_path):
    path, measured = tmp_path / "pred.jsonl", tmp_path / "pred.metrics.json"
    path.write_text(json.dumps({"reference": "a b c d e", "prediction": "a b c d"}) + "\n")
    measured.write_text(json.dumps({"bleu": {"value": 3.0, "n": 1}}))
    write_manifests([path, measured], [], {"command": "evaluate"}, 0.0)
    grads("metrics", path, "--metric", "rouge_l")
    found = json.loads(measured.read_text())
    assert set(found) == {"bleu", "rouge_l"}
    assert found["bleu"] == {"value": 3.0, "n": 1}
    # The metrics are another command's now; the answers still are what `grads evaluate` made.
    made = json.loads((tmp_path / "pred.manifest.json").read_text())
    assert made["artefacts"] == ["pred.jsonl"]
    assert made["settings"] == {"command": "evaluate"}


def test_metrics_that_something_else_wrote_are_left_alone(grads, tmp_path):
    path, measured = tmp_path / "pred.jsonl", tmp_path / "pred.metrics.json"
    path.write_text(json.dumps({"reference": "a", "prediction": "a"}) + "\n")
    measured.write_text("somebody's")
    assert "is there already" in grads("metrics", path, status=2).stderr
    assert measured.read_text() == "somebody's"
    grads("metrics", path, "--force")
    assert set(json.loads(measured.read_text())) == {"bleu", "chrf"}


def test_scores_never_replace_the_data(grads, tiny_model_folder, tmp_path):
    data = tmp_path / "in.scores.csv"
    data.write_text("instruction,output\nWhat?,That.\n")
    command = ("select", "--model", tiny_model_folder, "--data", data, "--ratio", "0.5", "--method", "random")
    for force in ((), ("--force",)):
        said = grads(*command, "--out", tmp_path / "in.jsonl", *force, status=2).stderr
        assert "in.scores.csv is an input of this command" in said
    assert data.read_text() == "instruction,output\nWhat?,That.\n"


HEAVY = {"torch", "transformers", "peft", "datasets", "lm_eval", "pandas", "scipy", "sklearn", "matplotlib"}
RUN = """
import json, sys
from grads.cli.main import main
sys.argv = ["grads", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as end:
    print(end.code)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("command", ["select", "probe", "train", "evaluate"])
@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ('{"instruction": "Q", "output": "A"}\n{', (), "train.jsonl:2: not JSON"),
        ('{"instruction": "Q", "output": "A"}\n{"instruction": "Q", "output": 3}\n', (), "'output' is a int"),
        ('{"instruction": "Q", "output": "A"}\n', ("--field", "output=answer"), "'answer' is missing"),
        ('{"instruction": "Q", "output": " "}\n', (), "none of 1 records has a question and an answer"),
    ],
)
def test_what_is_wrong_with_data_is_said_before_anything_heavy_is_imported(tmp_path, command, content, options, words):
    data, model = tmp_path / "train.jsonl", tmp_path / "model"
    data.write_text(content)
    model.mkdir()
    arguments = [command, "--model", str(model), "--data", str(data), "--out", str(tmp_path / "out.jsonl"), *options]
    arguments += ["--ratio", "0.5"] if command == "select" else []
    run = subprocess.run([sys.executable, "-c", RUN, json.dumps(arguments)], capture_output=True, text=True, check=True)
    status, modules = run.stdout.splitlines()
    assert status == "2", run.stderr
    assert words in run.stderr
    assert not HEAVY & set(json.loads(modules))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--training", "adapter.targets=[q_prj]"), "there is no layer 'q_prj' in .*did you mean 'q_proj'"),
        (("--probe", "hidden_layer=99"), "probe.hidden_layer is 99, and .* has 2 layers"),
        (("--probe", "features.modules=['nope*']"), "no layer of .* matches 'nope"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(on_data, option, words):
    said = on_data("select", "out.jsonl", "--ratio", "0.5", *option, status=2).stderr
    assert re.search(words, said)


def test_several_ratios_are_written_in_one_call(select, tmp_path):
    result = select("subset.jsonl", "--ratio", "0.25", "--ratio", "0.5", "--method", "random")
    few, more = (rows(tmp_path / f"subset-{ratio}.jsonl") for ratio in ("0.25", "0.5"))
    assert (len(few), len(more)) == (5, 10)
    assert all(row in more for row in few)
    assert not (tmp_path / "subset.jsonl").exists()
    assert "22 records, 1 empty, 1 duplicate: 20 are eligible; nothing is left to measure" in result.output
    for ratio in ("0.25", "0.5"):
        assert json.loads((tmp_path / f"subset-{ratio}.manifest.json").read_text())["settings"]["ratio"] == ratio


def test_a_count_keeps_so_many_records(select, tmp_path):
    select("subset.jsonl", "--count", "7", "--method", "random")
    assert len(rows(tmp_path / "subset.jsonl")) == 7
    said = select("more.jsonl", "--count", "7", "--count", "21", "--method", "random", status=2).stderr
    assert "--count 21: 20 records are eligible" in said
    assert not list(tmp_path.glob("more*"))
    for options in ((), ("--ratio", "0.5", "--count", "3")):
        assert "give it or --count" in select("x.jsonl", *options, status=2).stderr
    assert "given twice" in select("x.jsonl", "--ratio", "0.5", "--ratio", "0.50", status=2).stderr


def test_a_limit_takes_the_first_records(select, data, tmp_path):
    result = select("subset.jsonl", "--ratio", "0.5", "--limit", "4", "--method", "random")
    first = [row for row in rows(data) if row["output"].strip()][:4]
    chosen = rows(tmp_path / "subset.jsonl")
    assert len(chosen) == 2
    assert all(row in first for row in chosen)
    assert "16 beyond the limit" in result.output


def test_what_is_to_do_is_said_first(select):
    result = select("subset.jsonl", "--ratio", "0.25")
    said = next(line for line in result.stderr.splitlines() if "are eligible" in line)
    assert "to do: 1 forward pass, 1 training run of 1 epoch, 1 pass with gradients; about " in said
    before = result.stderr.splitlines()
    assert before.index(said) < next(place for place, line in enumerate(before) if line.startswith("probe"))
    again = select("other.jsonl", "--ratio", "0.5")
    assert "20 are eligible; nothing is left to measure" in again.output


def test_further_records_are_given_by_name(select, data, tmp_path):
    target = tmp_path / "target.jsonl"
    target.write_text("".join(data.read_text("utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    asked = ("--ratio", "0.25", "--method", "rds_plus")
    said = select("subset.jsonl", *asked, status=2).stderr
    assert "method 'rds_plus' reads validation records, which are not given: add --validation FILE" in said
    select("subset.jsonl", *asked, "--validation", target)
    # Nobody is nearer to a record than itself.
    assert [row["number"] for row in rows(tmp_path / "subset.jsonl")][:3] == [0, 1, 2]
    manifest = json.loads((tmp_path / "subset.manifest.json").read_text())
    assert str(target) in manifest["inputs"]
    absent = select("other.jsonl", *asked, "--validation", tmp_path / "no.jsonl", status=2).stderr
    assert "--validation" in absent
    assert "is not there" in absent
