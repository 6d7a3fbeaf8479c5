"""A model of the hub on one's own files: fetched once, at one commit, or refused in a sentence."""

import http.server
import json
import threading

import pytest

from .conftest import QUICK, rows


@pytest.mark.parametrize("revision", ["", "@main", "@0123456789abcdef0123456789abcdef01234567"])
def test_a_model_of_the_hub_selects_as_its_folder_does(
    grads, data, tiny_model_folder, tmp_path, place, revision, monkeypatch
):
    commit = place("owner/tiny", tiny_model_folder)
    rest = ("--data", data, "--ratio", "0.5", "--parameter", "representativeness=0", *QUICK)
    grads("select", "--model", f"owner/tiny{revision}", *rest, "--out", tmp_path / "hub" / "a.jsonl")
    grads("select", "--model", tiny_model_folder, *rest, "--out", tmp_path / "folder" / "a.jsonl")
    assert rows(tmp_path / "hub" / "a.jsonl") == rows(tmp_path / "folder" / "a.jsonl")
    manifest = json.loads((tmp_path / "hub" / "a.manifest.json").read_text())
    assert manifest["settings"]["model"]["commit"] == commit
    # What is there is not fetched again, and a branch that has moved on does not change it.
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))
    before = sorted(path.name for path in (tmp_path / "hub" / "grads-work").glob("tokenizer-*"))
    grads("select", "--model", f"owner/tiny{revision}", *rest, "--seed", "1", "--out", tmp_path / "hub" / "b.jsonl")
    assert sorted(path.name for path in (tmp_path / "hub" / "grads-work").glob("tokenizer-*")) == before


def test_a_branch_and_its_commit_are_one_model(grads, data, tiny_model_folder, tmp_path, place):
    commit = place("owner/tiny", tiny_model_folder)
    for revision in ("main", commit):
        files = ("--model", f"owner/tiny@{revision}", "--data", data, "--out", tmp_path / f"{revision}.jsonl")
        grads("select", *files, "--ratio", "0.5", "--method", "random")
    prepared = [path for path in (tmp_path / "grads-work").glob("tokenizer-*") if path.is_dir()]
    assert len(prepared) == 1
    # A random choice reads no weights.
    assert not list(prepared[0].rglob("*.safetensors"))


@pytest.mark.parametrize("command", ["select", "probe", "train", "evaluate"])
def test_a_model_that_the_hub_has_not_is_one_sentence(grads, data, tmp_path, place, tiny_model_folder, command):
    place("owner/tiny", tiny_model_folder)
    for name in ("owner/none", "owner/tiny@v2"):
        options = ("--data", data, "--out", tmp_path / "out.jsonl", *(["--ratio", "0.5"] * (command == "select")))
        result = grads(command, "--model", name, *options, status=2)
        id_ = name.partition("@")[0]
        assert f"error: --model: there is no folder or file {id_}, and model {id_} at" in result.stderr
        assert "is not in the hub's cache and the hub cannot be reached: fix the network" in result.stderr
    assert not list((tmp_path / "grads-work").iterdir())


def test_a_hub_that_answers_is_asked_and_its_refusal_is_one_sentence(grads, data, tmp_path, place, monkeypatch):
    asked = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    options = ("--data", data, "--out", tmp_path / "out.jsonl", "--ratio", "0.5")
    try:
        result = grads("select", "--model", "owner/none@v1", *options, status=2)
    finally:
        server.shutdown()
        server.server_close()
    assert any("owner/none/revision/v1" in path for path in asked)
    assert "model owner/none at v1 cannot be fetched (404" in result.stderr
    assert "correct 'id' and 'revision'" in result.stderr
