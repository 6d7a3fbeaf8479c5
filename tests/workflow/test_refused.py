"""What cannot be planned is one sentence through Snakemake, too, with status 2 and no lines of the workflow."""

import os
import shutil
import subprocess

import pytest
import yaml

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(make_workspace):
    return make_workspace()


@pytest.fixture
def smoke(workspace):
    return yaml.safe_load((workspace.folder / "config" / "smoke.yaml").read_text(encoding="utf-8"))


def refused(workspace, config, *arguments):
    """Return the sentences that Snakemake stops with, a line each."""
    (workspace.folder / "study.yaml").write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    result = subprocess.run(
        workspace.command("--configfile", "study.yaml", *arguments),
        cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert ".smk" not in result.stderr
    assert "WorkflowError" not in result.stderr
    return "\n".join(line for line in result.stderr.splitlines() if line.startswith("error: "))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sedes": [0]}, ("sedes", "'seeds'")),
        (
            {"arms": {"untuned": {"method": "untuned"}, "a": {"method": "gradz", "ratios": ["0.5"]}}},
            ("gradz", "arms.a"),
        ),
        ({"claims": "config/no.yaml"}, ("config/no.yaml", "claims")),
    ],
)
def test_a_mistake_in_a_config(workspace, smoke, change, words):
    sentence = refused(workspace, smoke | change, "-n")
    assert all(word in sentence for word in words)


def test_a_key_that_is_there_twice_which_snakemake_takes(workspace, smoke):
    assert "twice" in refused(workspace, yaml.safe_dump(smoke) + "\nstudy: again\n", "-n")


@pytest.mark.parametrize("place", ["domain", "claims"])
def test_braces_in_a_path_which_snakemake_takes_for_a_wildcard(workspace, smoke, place):
    if place == "domain":
        name = "config/smoke/ev{il}.jsonl"
        shutil.copy(workspace.folder / "config/smoke/sums.jsonl", workspace.folder / name)
        smoke["domains"]["sums"]["source"]["path"] = name
    else:
        name = smoke["claims"] = "config/cl{aims}.yaml"
        shutil.copy(workspace.folder / "config/smoke/claims.yaml", workspace.folder / name)
    sentence = refused(workspace, smoke, "-n")
    assert repr(name) in sentence
    assert "which no path here may" in sentence


def mount(folder, options):
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")


@pytest.mark.parametrize(("options", "words"), [("ro", "read-only"), ("size=8k,nr_inodes=2", "no room")])
def test_results_that_cannot_be_written_to(workspace, smoke, options, words):
    results = workspace.folder / "results"
    mount(results, options)
    try:
        sentence = refused(workspace, smoke)
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)
    assert sentence.startswith("error: results")
    assert words in sentence
    assert f"mounted at {results}" in sentence
