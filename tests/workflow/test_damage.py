"""A finished study with damaged artefacts is not "nothing to be done"; what comes from outside is known by content."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

pytestmark = pytest.mark.slow
CONFIG = ("--configfile", "mine.yaml")
RUN = "runs/mine/sums/random/0.5/0"
# Each file below results/damage, and what the sentence says is to be deleted.
ARTEFACTS = {
    f"{RUN}/adapter/adapter_model.safetensors": f"{RUN}/adapter",
    f"{RUN}/training.json": f"{RUN}/training.json",
    f"{RUN}/predictions.jsonl": f"{RUN}/predictions.jsonl",
    f"{RUN}/general.json": f"{RUN}/general.json",
    f"{RUN}/general-documents.jsonl": f"{RUN}/general-documents.jsonl",
    f"{RUN}/metrics.json": f"{RUN}/metrics.json",
    f"{RUN}/metrics.manifest.json": f"{RUN}/metrics.json",
    "models/mine/model.safetensors": "models/mine",
    "signals/mine/sums/tokens/signals.parquet": "signals/mine/sums/tokens",
    "selections/mine/sums/random/0.5/0.parquet": "selections/mine/sums/random/0.5/0.parquet",
    "data/sums/train.parquet": "data/sums/train.parquet",
    "general/text.jsonl": "general/text.jsonl",
    "measurements.parquet": "measurements.parquet",
    "tables/domain.csv": "tables/domain.csv",
}


@pytest.fixture(scope="module")
def finished(make_workspace, tiny_model_folder):
    workspace = make_workspace()
    content = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text(encoding="utf-8"))
    shutil.copytree(tiny_model_folder, workspace.folder / "my-model")
    shutil.copy(workspace.folder / "config/tasks/openbookqa.yaml", workspace.folder / "task.yaml")
    shutil.copy(workspace.folder / "config/smoke/sums.jsonl", workspace.folder / "sums.jsonl")
    content["general"]["tasks"]["products"]["yaml"] = "task.yaml"
    content |= {
        "study": "damage",
        "models": {"mine": {"title": "Mine", "source": {"kind": "file", "path": "my-model"}}},
        "domains": {"sums": {"title": "Sums", "source": {"kind": "file", "path": "sums.jsonl"}}},
        "arms": {"untuned": {"method": "untuned"}, "random": {"method": "random", "ratios": ["0.5"]}},
        "claims": [],
    }
    (workspace.folder / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    workspace.snakemake(*CONFIG)
    workspace.results = workspace.folder / "results" / "damage"
    return workspace


def test_nothing_is_to_be_done_whatever_was_touched(finished):
    for path in ("sums.jsonl", "task.yaml", "my-model/model.safetensors", "config/smoke/text.jsonl"):
        os.utime(finished.folder / path)
    os.utime(finished.folder / "my-model")
    assert finished.planned(*CONFIG) == {}


@pytest.mark.parametrize("name", ARTEFACTS)
def test_a_damaged_artefact_is_named_and_not_passed_over(finished, name):
    path, times = finished.results / name, (finished.results / name).stat()
    content = path.read_bytes()
    # The model's weights are a link to somebody's own file, which stays as it is.
    path.unlink()
    path.write_bytes(content[:-30])
    # Snakemake goes by dates.
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    printed = finished.snakemake("-n", *CONFIG, fails=True)
    assert f"results/damage/{name}" in printed
    assert f"results/damage/{ARTEFACTS[name]} and run again" in printed
    assert "Traceback" not in printed
    status = [sys.executable, "-m", "grads.cli.main", "status", "mine.yaml"]
    run = subprocess.run(status, cwd=finished.folder, env=finished.environment, capture_output=True, text=True)
    assert f"damaged: results/damage/{name}" in run.stdout
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert finished.planned(*CONFIG) == {}


def test_a_lost_manifest_is_noticed(finished):
    manifest = finished.results / RUN / "predictions.manifest.json"
    content = manifest.read_bytes()
    manifest.unlink()
    assert f"{RUN}/predictions.jsonl has no manifest" in finished.snakemake("-n", *CONFIG, fails=True)
    manifest.write_bytes(content)
    assert finished.planned(*CONFIG) == {}


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        # Of the same length, so that nothing but the content tells them apart.
        ("sums.jsonl", b"What", b"Whot", "prepare_domains"),
        ("task.yaml", b"question", b"Question", "prepare_general"),
        ("my-model/model.safetensors", b"", b"", "prepare_model"),
        ("config/smoke/text.jsonl", b" the ", b" a ", "prepare_general"),
    ],
)
def test_other_content_re_runs_what_read_it_however_old_it_is(finished, name, old, new, rule):
    path = finished.folder / name
    content = path.read_bytes()
    path.write_bytes(content.replace(old, new, 1) if old else content[:-1] + bytes([content[-1] ^ 1]))
    assert path.read_bytes() != content
    os.utime(path, (1, 1))
    assert finished.planned(*CONFIG)[rule] == 1
    path.write_bytes(content)
    assert finished.planned(*CONFIG) == {}


def test_what_is_deleted_as_the_sentence_says_is_made_again_and_gives_the_same(finished):
    metrics, table = finished.results / RUN / "metrics.json", finished.results / "tables" / "domain.csv"
    before = metrics.read_bytes(), table.read_bytes()
    metrics.write_text("{}")
    finished.snakemake("-n", *CONFIG, fails=True)
    metrics.unlink()
    finished.snakemake(f"results/damage/{RUN}/metrics.json", *CONFIG)
    finished.snakemake(*CONFIG)
    assert (metrics.read_bytes(), table.read_bytes()) == before
    assert finished.planned(*CONFIG) == {}
