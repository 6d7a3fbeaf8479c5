import json

import pandas as pd
import pytest

from .conftest import QUICK


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def select(grads, data, tiny_model_folder, tmp_path):
    def call(out, *options, **keywords):
        files = ("--model", tiny_model_folder, "--data", data, "--out", tmp_path / out)
        return grads("select", *files, *QUICK, *options, **keywords)

    return call


def test_grads_selects_the_users_records_as_they_are(select, data, tmp_path):
    result = select("subset.jsonl", "--ratio", "0.25")
    chosen, given = rows(tmp_path / "subset.jsonl"), rows(data)
    assert len(chosen) == 5
    assert [given.index(row) for row in chosen] == sorted(given.index(row) for row in chosen)
    assert list(chosen[0]) == ["number", "output", "instruction", "tags"]
    assert "kept 5 of 20 eligible records (22 read, 1 empty, 1 duplicate, 0 too long)" in result.output
    scores = pd.read_csv(tmp_path / "subset.scores.csv")
    assert list(scores.columns) == ["record", "id", "score", "rank", "kept"]
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
        (["--ratio", "0.5", "--method", "grad"], "there is no selection method 'grad': did you mean 'grads'?"),
        (["--ratio", "0.5", "--method", "full"], "method 'full' is a control that selects nothing"),
        (["--ratio", "0.5", "--method", "full_steps"], "is a control that selects nothing"),
        (["--ratio", "0.5", "--parameter", "diversty=1"], "--parameter: .*'diversity'"),
        (["--ratio", "0.5", "--parameter", "diversity"], "write --parameter key=value"),
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
        ({"--data": "absent.jsonl"}, "--data absent.jsonl is not there"),
        ({"--out": "subset.csv"}, "ends in .jsonl"),
    ],
)
def test_a_wrong_path_is_one_sentence(grads, data, tiny_model_folder, tmp_path, change, sentence):
    options = {"--model": tiny_model_folder, "--data": data, "--out": tmp_path / "s.jsonl", "--ratio": "0.5"} | change
    result = grads("select", *(part for pair in options.items() for part in pair), status=2)
    assert sentence in result.stderr


def test_the_data_are_never_overwritten(grads, data, tiny_model_folder):
    before = data.read_bytes()
    options = ("--model", tiny_model_folder, "--data", data, "--out", data, "--ratio", "0.5")
    assert "is the data itself" in grads("select", *options, status=2).stderr
    assert data.read_bytes() == before


def test_probe_writes_a_store(grads, data, tiny_model_folder, tmp_path):
    from grads.probe.store import read_store

    options = ("--model", tiny_model_folder, "--data", data, "--out", tmp_path / "signals", *QUICK)
    grads("probe", *options, "--point", "base")
    store = read_store(tmp_path / "signals")
    assert store.features["hidden"].shape == (20, 32)
    assert "is there already" in grads("probe", *options, status=2).stderr
    assert "did you mean 'warm'" in grads("probe", *options[:-8], "--point", "warmm", "--out", "x", status=2).stderr


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
    assert set(json.loads((tmp_path / "predictions.metrics.json").read_text())) == {"bleu", "chrf"}
    assert "did you mean 'bleu'" in grads("metrics", path, "--metric", "blue", status=2).stderr
    assert "METEOR needs it" in grads("metrics", path, "--metric", "meteor", "--wordnet", "no", status=2).stderr
    assert "no.jsonl is not there" in grads("metrics", "no.jsonl", status=2).stderr


def test_metrics_with_wordnet(grads, tmp_path, wordnet_folder):
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps({"reference": "a sofa", "prediction": "a couch"}) + "\n")
    result = grads("metrics", path, "--metric", "meteor", "--wordnet", wordnet_folder)
    assert float(result.stdout.split()[1]) > 0.9
