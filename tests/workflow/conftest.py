"""A copy of the repository in which the workflow runs for real, away from the developer's own results."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "workflow", "profiles", "config", "envs", "grads")


class Workspace:
    """A copy of the repository, and Snakemake to run in it."""

    def __init__(self, folder):
        self.folder = folder
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy(ROOT / part, folder / part)
        (folder / "resources").symlink_to(ROOT / "resources")
        self.environment = os.environ | {"PYTHONPATH": str(folder), "HOME": str(folder), "HF_HUB_OFFLINE": "1"}

    def command(self, *arguments):
        return [sys.executable, "-m", "snakemake", *map(str, arguments)]

    def snakemake(self, *arguments, fails=False):
        """Run Snakemake to its end and return what it printed."""
        result = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=1500,
        )
        output = result.stdout + result.stderr
        assert (result.returncode != 0) == fails, output[-6000:]
        return output

    def planned(self, *arguments):
        """Return the jobs of a dry run as {rule: number}, without the rule `all`; empty when nothing is to be done."""
        printed = self.snakemake("-n", "--quiet", "rules", *arguments)
        if "Nothing to be done" in printed:
            return {}
        table = printed.partition("Job stats:")[2].strip().splitlines()[2:]
        counts = dict(line.split() for line in table[: table.index(next(x for x in table if x.startswith("total")))])
        return {rule: int(number) for rule, number in counts.items() if rule != "all"}


@pytest.fixture(scope="session")
def make_workspace(tmp_path_factory):
    return lambda: Workspace(tmp_path_factory.mktemp("repository"))
