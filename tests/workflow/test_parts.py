"""Running a part of a study, tables over a part, and parts from two machines put together."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from grads.graph.study import StudyGraph
from grads.study.grid import cells
from grads.study.reading import parse_study

pytestmark = pytest.mark.slow
CONFIG = ("--configfile", "two.yaml")
CELL = "results/two/runs/tiny/sums/{}/0/metrics.json"


@pytest.fixture(scope="module")
def machines(make_workspace):
    """Two copies of the repository with one study, each with some of its cells run; the second ran first."""
    content = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
    arms = {name: content["arms"][name] for name in ("untuned", "full", "random")}
    content |= {"study": "two", "arms": arms, "domains": {"sums": content["domains"]["sums"]}}
    first, second = make_workspace(), make_workspace()
    for workspace in (first, second):
        (workspace.folder / "two.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        workspace.study = parse_study(content)
    command(second, "run", "two.yaml", "--arm", "random", "--", "--cores", "2")
    first.snakemake(*CONFIG, "--", CELL.format("full/1"), CELL.format("untuned/0"))
    return first, second


def command(workspace, *arguments, status=0):
    """Run `grads` in a workspace and return what it printed."""
    call = [sys.executable, "-m", "grads.cli.main", *map(str, arguments)]
    result = subprocess.run(call, cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_a_cell_is_run_by_its_path_and_no_other(machines):
    first, second = machines
    runs = {
        str(path.parent.relative_to(workspace.folder / "results/two/runs"))
        for workspace in machines
        for path in workspace.folder.glob("results/two/runs/**/metrics.json")
    }
    assert runs == {"tiny/sums/full/1/0", "tiny/sums/untuned/0/0", "tiny/sums/random/0.5/0"}
    assert not (first.folder / CELL.format("random/0.5")).exists()
    assert not (second.folder / CELL.format("full/1")).exists()


def test_status_names_what_is_done_and_what_waits(machines):
    printed = command(machines[0], "status", "two.yaml")
    assert printed.startswith("two: 2 done, 1 waiting of 3 cells")
    assert "waiting  tiny/sums/random/0.5/0  at select" in printed


def test_status_knows_the_outputs_and_logs_of_the_workflow(machines):
    first, second = machines
    for cell in cells(first.study):
        workspace = second if cell.arm == "random" else first
        for job in StudyGraph(first.study, reading=False).on_the_way(cell):
            assert all((workspace.folder / path).exists() for path in job.outputs), job.rule
            # What all studies share may be there from before.
            assert job.log.parts[0] == "logs" or (workspace.folder / job.log).is_file(), job.rule


def test_status_shows_why_a_cell_failed(machines, tmp_path):
    shutil.copytree(machines[0].folder, tmp_path / "copy", symlinks=True)
    machine = type("Machine", (), {"folder": tmp_path / "copy", "environment": machines[0].environment})
    (machine.folder / CELL.format("full/1")).unlink()
    (machine.folder / "results/two/logs/metrics/tiny/sums/full/1/0.log").write_text("error: no predictions\n")
    printed = command(machine, "status", "two.yaml")
    assert "failed   tiny/sums/full/1/0  at metrics" in printed
    assert "metrics (1 cell), results/two/logs/metrics/tiny/sums/full/1/0.log:\n  error: no predictions" in printed


def test_explain_says_what_became_of_a_record(machines):
    selection = json.loads((machines[1].folder / "results/two/selections/tiny/sums/random/0.5/0.json").read_text())
    assert selection["actual"] == 12
    import pandas as pd

    kept = pd.read_parquet(machines[1].folder / "results/two/selections/tiny/sums/random/0.5/0.parquet").iloc[0]
    printed = command(machines[1], "explain", "two.yaml", "--id", kept["id"])
    assert f"{kept['id']}  Sums (sums), train" in printed
    assert "tiny random@0.5 seed 0: kept, rank 1 of 24" in printed
    assert "tiny full@1 seed 0: not selected yet" in printed
    assert "tiny tokens: prompt_tokens" in printed
    assert "records begin so" in command(machines[1], "explain", "two.yaml", "--id", "", status=2)


def test_partial_tables_show_what_is_there(machines):
    first = machines[0]
    printed = first.snakemake("partial", *CONFIG)
    assert "missing: tiny/sums/random/0.5/0" in printed
    folder = first.folder / "results/two/partial"
    assert "PARTIAL: 2 of 3 cells" in (folder / "tables/domain.md").read_text()
    assert (folder / "measurements.manifest.json").is_file()
    assert not (first.folder / "results/two/measurements.parquet").exists()
    # It is made again each time, and makes nothing else.
    assert set(first.planned(*CONFIG, "--", "partial")) == {"partial"}


@pytest.mark.parametrize("into", [0, 1])
def test_parts_from_two_machines_are_merged_by_copying(machines, into, make_workspace):
    target, other = machines[into], machines[1 - into]
    merged = make_workspace()
    shutil.copy(target.folder / "two.yaml", merged.folder)
    for part in ("results", ".snakemake/metadata"):
        for machine in (target, other):
            shutil.copytree(machine.folder / part, merged.folder / part, dirs_exist_ok=True)
    merged.snakemake("--touch", *CONFIG)
    of_tables = {"measurements", "tables", "curves", "selection_tables", "pages", "overlap", "prepare_instructions"}
    assert set(merged.planned(*CONFIG)) == of_tables
    # What made the copied results is still known: other settings would train them again.
    assert merged.planned(*CONFIG, "--config", "training={over_length: truncate}")["train"] == 2
    merged.snakemake(*CONFIG)
    assert merged.planned(*CONFIG) == {}
