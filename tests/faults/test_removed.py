"""Results that are removed while a run is at work, and a disk that gets full under it."""

import os
import shutil
import subprocess
import time

import pytest
import yaml

from tests.workflow.conftest import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A study of one domain and two arms."""
    made = Workspace(tmp_path_factory.mktemp("removed"))
    smoke = yaml.safe_load((made.folder / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    arms = {"untuned": {"method": "untuned"}, "random": {"method": "random", "ratios": ["0.5"]}}
    changes = {"study": "removed", "arms": arms, "domains": {"sums": smoke["domains"]["sums"]}}
    smoke["general"].pop("instructions")
    smoke.pop("claims")
    (made.folder / "study.yaml").write_text(yaml.safe_dump(smoke | changes), encoding="utf-8")
    return made


def run_while(workspace, condition, act):
    """Run the study, do something as soon as a condition holds, and return what was printed."""
    with (workspace.folder / "printed").open("w+") as printed:
        run = subprocess.Popen(
            workspace.command("--configfile", "study.yaml"),
            cwd=workspace.folder, env=workspace.environment, stdout=printed, stderr=subprocess.STDOUT,
        )  # fmt: skip
        while not condition():
            assert run.poll() is None
            time.sleep(0.05)
        act()
        run.wait()
        printed.seek(0)
        return run.returncode, printed.read()


@pytest.mark.long
def test_results_that_are_removed_during_a_run_are_made_by_the_next(workspace):
    results = workspace.folder / "results" / "removed"
    for place, what in (
        ("scratch/train/tiny/sums/random/0.5/0/*", results / "scratch"),
        ("runs/tiny/sums/random/0.5/0/training.json", results / "logs"),
        ("runs/tiny/sums/random/0.5/0/training.json", results),
    ):

        def there(place=place):
            return any(results.glob(place))

        _, printed = run_while(workspace, there, lambda what=what: shutil.rmtree(what, ignore_errors=True))
        # The lines of Python that a bug leaves; Snakemake's own are of its files.
        assert "Traceback (most recent call last)" not in printed, printed[-4000:]
        # What stands at the end asks for nothing before it once it is there.
        for name in ("runs", "tables", "figures", "pages"):
            shutil.rmtree(results / name, ignore_errors=True)
        (results / "measurements.parquet").unlink(missing_ok=True)
    workspace.snakemake("--configfile", "study.yaml")
    assert workspace.planned("--configfile", "study.yaml") == {}
    assert (results / "tables" / "domain.csv").is_file()
    assert not list(results.rglob(".*.part*"))


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [40, 300])
def test_a_disk_that_gets_full_under_a_run_is_named_by_its_jobs(workspace, kilobytes):
    results = workspace.folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(results)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        printed = workspace.snakemake("--configfile", "study.yaml", fails=True)
        assert not list(results.rglob(".*.part*"))
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)
    assert f"tmpfs mounted at {results}, " in printed
    assert "no room is left" in printed
    assert "Traceback (most recent call last)" not in printed, printed[-4000:]
