"""README and docs: every command runs, every link leads somewhere, every message is one that the code has.

Blocks fenced as ```console, and whole commands in the text, are executed in a copy of the repository, each page from
top to bottom; lines that end in `# on the other machine` in a second copy, `../other`. The copy's demonstration has the
names of the real one and the data of the smoke study; `mine.yaml` is made from it as docs/your-data.md says.

Planned only: what would be submitted to SLURM, which test_slurm.py does, and make's targets, which .ci/run makes. Left
out: how the repository is got and set up (`git clone`, `pip`), and blocks that say so: ```console no-test: REASON.
"""

import ast
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from grads.config.study import Study
from grads.config.task_file import TaskFile
from grads.selection.registry import find_method, methods, parse_parameters
from grads.training.strategies.registry import find_strategy

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PARTS = ROOT / "docs/running-a-part.md"
OWN_DATA = ROOT / "docs/your-data.md"
INDEX = ROOT / "docs/index.md"
OTHERS = ("benchmarks", "config", "results")
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", *(f"{at}/README.md" for at in OTHERS)))]
NAME = attrgetter("name")
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
# A command with what it works on, and not only its name.
INLINE = re.compile(r"`((?:snakemake|make|python) [^`]+|grads (?:--[^`]+|[a-z]+ [^`]+))`")
ELSEWHERE = "# on the other machine"
TESTED = (README, PARTS, OWN_DATA, ROOT / "docs/results.md")  # Pages with a test of their own.
EXAMPLE = "shortest"  # The method that docs/extending.md adds.


def blocks(page, language):
    """Return (info, body) of the page's fenced blocks of a language."""
    found = [(match["info"], match["body"]) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]
    return [(info, body) for info, body in found if info.split(" ")[0] == language]


def commands(page):
    """Return the page's commands in their order, as (command, whether it is for the other machine)."""
    text, found, end = page.read_text(encoding="utf-8"), [], 0
    for fence in FENCE.finditer(text):
        found += [(command, False) for command in INLINE.findall(text[end : fence.start()])]
        end = fence.end()
        if fence["info"] == "console":
            lines = fence["body"].replace("\\\n", " ").splitlines()
            found += [(line.partition(" #")[0].strip(), ELSEWHERE in line) for line in lines if line.strip()]
    found += [(command, False) for command in INLINE.findall(text[end:])]
    return [(command, elsewhere) for command, elsewhere in found if not command.startswith("git clone")]


def executed(command):
    """Return the command as it is executed: itself, or its plan."""
    words = shlex.split(command)
    if "profiles/slurm" in words and "-n" not in words:
        return f"{command} -n"
    return re.sub(r"^make ", "make -n ", command)


def small_demo(folder):
    """Return the demonstration's config with its names, cut down to tiny models and data."""
    demo, smoke = (yaml.safe_load((folder / f"config/{name}.yaml").read_text("utf-8")) for name in ("demo", "smoke"))
    model = {name: {"title": "Tiny", "source": {"kind": "file", "path": "my-model"}} for name in demo["models"]}
    domains = {"law": smoke["domains"]["sums"], "finance": smoke["domains"]["plurals"]}
    arms = {name: demo["arms"][name] for name in ("untuned", "random", "grads")}
    assert set(domains) <= set(demo["domains"])
    cut = {"evaluation": smoke["evaluation"] | {"metrics": ["bleu"]}}  # METEOR's WordNet takes seconds a job.
    return smoke | cut | {"study": demo["study"], "models": model, "domains": domains, "arms": arms}


def furnish(workspace, model):
    """Put into a copy of the repository what the pages speak of: a model, records, and configs."""
    folder = workspace.folder
    for name in ("Makefile", "pyproject.toml", "site/requirements.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(model, folder / "my-model")
    demo = small_demo(folder)
    (folder / "config/demo.yaml").write_text(yaml.safe_dump(demo), encoding="utf-8")
    # The page's own record, and its pieces of a config.
    (_, record), *_ = blocks(OWN_DATA, "json")
    (_, piece), *_ = blocks(OWN_DATA, "yaml")
    mine = demo | {"study": "mine"} | yaml.safe_load(piece)
    (folder / "mine.yaml").write_text(yaml.safe_dump(mine), encoding="utf-8")
    (source,) = (domain["source"]["path"] for domain in mine["domains"].values())
    splits = mine["splits"]
    more = [
        {"instruction": f"What does clause {n} say?", "input": f"Clause {n}: ...", "output": f"Pay {n} by {n + 7}."}
        for n in range(splits["validation"] + splits["test"] + 30)
    ]
    lines = "\n".join([record.strip(), *map(json.dumps, more)])
    for path in (folder / source, folder / "train.jsonl", folder / "target.jsonl"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(lines, encoding="utf-8")
    workspace.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return workspace


@pytest.fixture(scope="module")
def workspace(make_workspace, tiny_model_folder):
    return furnish(make_workspace(), tiny_model_folder)


@pytest.fixture(scope="module")
def other_machine(make_workspace, tiny_model_folder, workspace):
    other = furnish(make_workspace(), tiny_model_folder)
    (workspace.folder.parent / "other").symlink_to(other.folder)
    return other


@pytest.fixture
def run_page(workspace, other_machine):
    """Run the commands of a page one after the other; return the last one's output."""

    def run(page):
        for command, elsewhere in commands(page):
            run = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", executed(command)],
                cwd=other_machine.folder if elsewhere else workspace.folder,
                env=workspace.environment | ({"PYTHONPATH": str(other_machine.folder)} if elsewhere else {}),
                capture_output=True, text=True, timeout=900,
            )  # fmt: skip
            assert run.returncode == 0, f"{page.name}: {command}\n{run.stdout}{run.stderr}"[-5000:]
        return run.stdout + run.stderr

    return run


@pytest.mark.slow
def test_the_parts_of_a_study_run_as_described(run_page, workspace, other_machine):
    """It comes before the pages that run whole studies, which leave no part to be run."""
    printed = run_page(PARTS)
    cells = {
        str(path.parent.relative_to(workspace.folder / "results"))
        for path in workspace.folder.glob("results/*/runs/**/metrics.json")
    }
    mine = {f"mine/runs/smollm2/contracts/{arm}/0" for arm in ("untuned/0", "grads/0.34", "random/0.34")}
    assert cells == {"demo/runs/smollm2/law/grads/0.34/0"} | mine
    assert "PARTIAL: 1 of 6 cells" in (workspace.folder / "results/demo/partial/tables/domain.md").read_text("utf-8")
    # What was merged was not run again.
    assert set(re.findall(r"^(?:local)?rule (\w+):$", printed, re.MULTILINE)) == {
        "prepare_instructions",
        "overlap",
        "measurements",
        "tables",
        "curves",
        "selection_tables",
        "pages",
        "all",
    }
    assert "Contracts" in (workspace.folder / "results/mine/tables/domain.md").read_text("utf-8")


@pytest.mark.slow
def test_the_readme_runs(run_page):
    run_page(README)


@pytest.mark.slow
def test_the_python_of_the_readme_runs(workspace, tmp_path):
    lines = (workspace.folder / "train.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "my-model").symlink_to(workspace.folder / "my-model")
    (tmp_path / "train.jsonl").write_text("".join(lines[:12]), encoding="utf-8")
    (tmp_path / "test.jsonl").write_text("".join(lines[12:18]), encoding="utf-8")
    (_, source), *_ = blocks(README, "python")
    run = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, env=workspace.environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "bleu" in run.stdout


@pytest.mark.slow
def test_the_page_on_results_runs(run_page, workspace):
    run_page(ROOT / "docs/results.md")
    assert "demo" in (workspace.folder / "results/demo/report.html").read_text("utf-8")


@pytest.mark.slow
def test_the_page_on_ones_own_data_runs(run_page, workspace):
    run_page(OWN_DATA)
    assert "Contracts" in (workspace.folder / "results/mine/tables/domain.md").read_text("utf-8")
    given = (workspace.folder / "train.jsonl").read_text("utf-8").splitlines()
    chosen = (workspace.folder / "subset.jsonl").read_text("utf-8").splitlines()
    assert len(chosen) == round(0.05 * len(given))
    assert set(map(json.dumps, map(json.loads, chosen))) <= set(map(json.dumps, map(json.loads, given)))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page not in TESTED and commands(page)], ids=NAME)
def test_a_page_runs(page, run_page):
    run_page(page)


def test_there_are_commands_and_they_are_known():
    found = [command for page in PAGES for command, _ in commands(page)]
    assert len(set(found)) > 20
    for command in found:
        known = {"snakemake", "make", "grads", "cp", "python"}
        assert command.split()[0] in known, f"mark it no-test, with the reason: {command}"
    assert sum(elsewhere for page in PAGES for _, elsewhere in commands(page)) == 1


def test_a_block_that_is_left_out_has_a_reason():
    for page in PAGES:
        for info, _body in blocks(page, "console"):
            assert info == "console" or re.fullmatch(r"console no-test: \w.*", info), f"{page.name}: {info}"


def test_only_make_and_slurm_are_planned():
    planned = {command for page in PAGES for command, _ in commands(page) if executed(command) != command}
    assert {command.split()[0] for command in planned if "profiles/slurm" not in command} == {"make"}
    assert len(planned) > 5
    assert all("-n" in shlex.split(executed(command)) for command in planned)


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    """To a file and not to a folder, of which the site has no page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if path.startswith("http"):
            continue
        other = (page.parent / path).resolve() if path else page
        assert other.is_file(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page.name} links to {target}"


def test_the_index_names_every_page():
    """The site has its navigation from there."""
    linked = {(INDEX.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", INDEX.read_text("utf-8"))}
    assert {page for page in PAGES if page != INDEX} <= linked


def test_the_page_of_commands_names_every_command():
    from grads.cli.main import app

    page = (ROOT / "docs/commands.md").read_text("utf-8")
    assert [one.name for one in app.registered_commands if f"`grads {one.name}" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=NAME)
def test_pieces_of_config_are_valid(page):
    for _info, body in blocks(page, "yaml"):
        if "task" in yaml.safe_load(body):  # A task file, not a piece of a config.
            TaskFile.model_validate(yaml.safe_load(body))
            continue
        for key, value in yaml.safe_load(body).items():
            TypeAdapter(Study.model_fields[key].annotation).validate_python(value)
            for arm in value.values() if key == "arms" else ():
                if arm["method"] != EXAMPLE:
                    parse_parameters(find_method(arm["method"]), arm.get("parameters", {}))
                strategy = find_strategy(arm.get("strategy", "sft"))
                strategy.parameters.model_validate(arm.get("strategy_parameters", {}))


@functools.cache
def messages():
    """Return every text of the package, with three dots where values are filled in."""
    found = []
    for path in sorted((ROOT / "grads").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(v.value if isinstance(v, ast.Constant) else "..." for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def troubles():
    """Return the messages that headings of the page begin with, one or several."""
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    return [
        one for heading in re.findall(r"^### (`.*`)$", page, re.MULTILINE) for one in re.findall("`(.*?)`", heading)
    ]


@pytest.mark.parametrize("message", troubles())
def test_every_message_of_the_troubleshooting_page_is_one_of_ours(message):
    assert message in messages()


def test_the_example_method_works_as_it_is_written(workspace):
    (_, source), *_ = blocks(ROOT / "docs/extending.md", "python")
    assert EXAMPLE not in methods()
    (workspace.folder / f"grads/selection/methods/{EXAMPLE}.py").write_text(source, encoding="utf-8")
    study = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text(encoding="utf-8"))
    (_, arms), *_ = blocks(ROOT / "docs/extending.md", "yaml")
    study["arms"] = {"untuned": {"method": "untuned"}} | yaml.safe_load(arms)["arms"]
    (workspace.folder / "example.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    try:
        planned = workspace.planned("--configfile", "example.yaml")
        code = (
            "import pandas as pd; from grads.selection.contract import Inputs; from grads.selection.registry import *\n"
            "pool = pd.DataFrame({'id': list('abcd'), 'response_tokens': [9, 2, 4, 5]})\n"
            f"method = find_method('{EXAMPLE}')\n"
            "choice = method.select(Inputs({'tokens': pool}, {}, {}, 2, 0), method.parameters(least_tokens=3))\n"
            "print(pool['id'][choice.score.argsort()[::-1]].str.cat())"
        )
        run, listed = (
            subprocess.run(
                [sys.executable, *command],
                cwd=workspace.folder,
                env=workspace.environment,
                capture_output=True,
                text=True,
            )
            for command in (["-c", code], ["-m", "grads.cli.main", "list", "methods"])
        )
    finally:
        (workspace.folder / f"grads/selection/methods/{EXAMPLE}.py").unlink()
    # Two ratios on two domains; the method needs no probe and no preliminary epoch.
    assert planned["train"] == 4
    assert not {"probe_base", "probe_warm", "train_warm"} & set(planned)
    assert run.stdout.strip() == "cdab", run.stderr
    assert f"\n{EXAMPLE} " in listed.stdout
