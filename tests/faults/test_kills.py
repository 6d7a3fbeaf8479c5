"""A study that is killed thirty times, at any moment and anywhere, ends as if nobody had touched it."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pandas as pd
import psutil
import pytest
import yaml

from tests.workflow.conftest import Workspace

KILLS = 30
AT_START = 3
SEED = 20260730
# What a kill may hit: Snakemake, the process that works, the one that watches it, the one that Snakemake waits for, and
# the one that has libraries loaded.
VICTIMS = ("snakemake", "snakemake", "worker", "supervisor", "script", "server")
ARMS = {
    "untuned": {"method": "untuned"},
    "full": {"method": "full"},
    "random": {"method": "random", "ratios": ["0.5"]},
    "grads": {"method": "grads", "ratios": ["0.5"]},
}


class Study:
    """A small study in a copy of the repository."""

    def __init__(self, folder):
        self.workspace = Workspace(folder)
        smoke = yaml.safe_load((folder / "config" / "smoke.yaml").read_text(encoding="utf-8"))
        changes = {"study": "killed", "arms": ARMS, "domains": {"sums": smoke["domains"]["sums"]}}
        smoke["general"].pop("instructions")
        smoke.pop("claims")
        (folder / "killed.yaml").write_text(yaml.safe_dump(smoke | changes), encoding="utf-8")
        self.results = folder / "results" / "killed"

    def start(self):
        return subprocess.Popen(
            self.workspace.command("--configfile", "killed.yaml", "--cores", "2"),
            cwd=self.workspace.folder,
            env=self.workspace.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def finish(self):
        self.workspace.snakemake("--configfile", "killed.yaml", "--cores", "2")

    def jobs(self):
        """Return the processes of jobs, by what they are."""
        found = {"script": [], "server": [], "supervisor": [], "worker": []}
        scripts = str(self.workspace.folder / ".snakemake" / "scripts")
        forks = {}
        for one in psutil.process_iter():
            words = words_of(one)
            if any(scripts in word for word in words):
                found["script"].append(one.pid)
            elif "grads.runtime.preload" in words and folder_of(one) == str(self.workspace.folder):
                forks[one.pid] = one.ppid()
        for pid, parent in forks.items():
            ancestors = (parent in forks) + (forks.get(parent) in forks)
            found[("server", "supervisor", "worker")[ancestors]].append(pid)
        return found

    def files(self):
        return {
            str(path.relative_to(self.results)): content_of(path)
            for folder in ("tables", "figures", "selections")
            for path in sorted((self.results / folder).rglob("*"))
            if path.is_file() and ".manifest." not in path.name
        }


def content_of(path):
    """Return the bytes of a file; of a selection's summary what it says, without the seconds that it took."""
    if path.suffix != ".json":
        return path.read_bytes()
    return {key: value for key, value in json.loads(path.read_text("utf-8")).items() if key != "seconds"}


def words_of(process):
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.NoSuchProcess:
        return []


def folder_of(process):
    try:
        return process.cwd()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def wait_for(condition, what):
    deadline = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def kill_one(study, run, draw, at_start):
    """Kill a process of a run, and return which; nothing where the run came to its end before."""
    seen, wanted = set(), 1 if at_start else draw.randint(1, 3)
    while True:
        seen |= set(study.jobs()["script"])
        if len(seen) >= wanted or run.poll() is not None:
            break
        time.sleep(0.01)
    if not at_start:
        # Long enough for the first jobs of a run, too, which wait for libraries to be loaded.
        time.sleep(draw.uniform(0.0, 20.0))
    if run.poll() is not None:
        return None
    victim = "snakemake" if at_start else draw.choice(VICTIMS)
    targets = [run.pid] if victim == "snakemake" else study.jobs()[victim]
    if not targets:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(draw.choice(targets), signal.SIGKILL)
    return victim


@pytest.mark.long
def test_thirty_kills_leave_no_trace(tmp_path):
    for name in ("clean", "killed"):
        (tmp_path / name).mkdir()
    clean, killed = Study(tmp_path / "clean"), Study(tmp_path / "killed")
    clean.finish()
    draw, victims, run = random.Random(SEED), [], None
    try:
        while len(victims) < KILLS:
            if run is None:
                run = killed.start()
            victim = kill_one(killed, run, draw, at_start=len(victims) % (KILLS // AT_START) == 0)
            victims += [victim] if victim else []
            if victim == "snakemake":
                run.wait()
                wait_for(lambda: not any(killed.jobs().values()), "jobs outlive their Snakemake")
            if run.poll() is not None:
                if victim is None:
                    # It was done, or its last kill ended it: some of it is made again, for its end is missing.
                    shutil.rmtree(killed.results / "runs", ignore_errors=True)
                    (killed.results / "measurements.parquet").unlink(missing_ok=True)
                run = None
        if run is not None:
            run.kill()
            run.wait()
        wait_for(lambda: not any(killed.jobs().values()), "jobs outlive their Snakemake")
    finally:
        if run is not None:
            run.kill()
    assert set(victims) == set(VICTIMS)
    killed.finish()
    assert not any(killed.jobs().values())
    compare(clean, killed)


def compare(clean, killed):
    """Refuse a killed study that is not, but for seconds, byte for byte what an untouched one is."""
    found, expected = killed.files(), clean.files()
    assert found.keys() == expected.keys()
    # Seconds differ from run to run, and what is computed of them.
    assert {name for name in expected if found[name] != expected[name]} <= {
        *(f"tables/cost{suffix}" for suffix in (".csv", ".md", ".tex", ".html")),
        *(f"figures/efficiency{suffix}" for suffix in (".svg", ".pdf")),
    }
    costs = [pd.read_csv(study.results / "tables" / "cost.csv") for study in (clean, killed)]
    same = [column for column in costs[0] if "seconds" not in column and "hours" not in column]
    pd.testing.assert_frame_equal(costs[0][same], costs[1][same])
    assert not [path for path in killed.results.rglob("*") if ".part" in path.name or "checkpoint-" in path.name]
