"""README and docs: every command runs, every link leads somewhere, every message is one that the code has.

Blocks fenced as ```console are executed in a copy of the repository, with a `mine.yaml` as they speak of; a run of the
workflow is planned only, and so are make's targets. ```console no-test: REASON leaves a block out.
"""

import ast
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from grads.methods.registry import find_method, methods, parse_parameters
from grads.study.config import Study

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLE = "shortest"  # The method that docs/adding-a-method.md adds.


def blocks(page, language):
    """Return (info, body) of the page's fenced blocks of a language."""
    found = [(match["info"], match["body"]) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]
    return [(info, body) for info, body in found if info.split(" ")[0] == language]


def commands():
    """Return {command: page} of what is to be executed."""
    found = {}
    for page in PAGES:
        for info, body in blocks(page, "console"):
            if "no-test" not in info:
                lines = body.replace("\\\n", " ").splitlines()
                found |= {line.partition(" #")[0].strip(): page.name for line in lines if line.strip()}
    return {command: page for command, page in found.items() if not command.startswith("git clone")}


def harmless(command):
    """Return the command, a long one turned into its plan."""
    words = shlex.split(command)
    if words[0] == "snakemake" and not {"-n", "--dry-run"} & set(words):
        return f"{command} -n"
    return re.sub(r"^make ", "make -n ", command)


@pytest.fixture(scope="module")
def workspace(make_workspace):
    workspace = make_workspace()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, workspace.folder)
    smoke = (workspace.folder / "config/smoke.yaml").read_text(encoding="utf-8")
    (workspace.folder / "mine.yaml").write_text(smoke.replace("study: smoke", "study: mine"), encoding="utf-8")
    workspace.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return workspace


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_every_command_runs(command, workspace):
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", harmless(command)],
        cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, f"{commands()[command]}: {run.stdout}{run.stderr}"[-3000:]


def test_there_are_commands_and_they_are_known():
    assert len(commands()) > 8
    for command in commands():
        assert command.split()[0] in {"snakemake", "make", "grads"}, f"mark it no-test, with the reason: {command}"


def test_a_block_that_is_left_out_has_a_reason():
    for page in PAGES:
        for info, _body in blocks(page, "console"):
            assert info == "console" or re.fullmatch(r"console no-test: \w.*", info), f"{page.name}: {info}"


@pytest.mark.parametrize("command", ["snakemake --configfile a.yaml", "snakemake", "make demo"])
def test_long_commands_are_planned_only(command):
    assert harmless(command) != command
    assert "-n" in shlex.split(harmless(command))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if path.startswith("http"):
            continue
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pieces_of_config_are_valid(page):
    for _info, body in blocks(page, "yaml"):
        for key, value in yaml.safe_load(body).items():
            TypeAdapter(Study.model_fields[key].annotation).validate_python(value)
            for arm in value.values() if key == "arms" else ():
                if arm["method"] != EXAMPLE:
                    parse_parameters(find_method(arm["method"]), arm.get("parameters", {}))


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
    return re.findall(r"^### `(.*)`$", (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("message", troubles())
def test_every_message_of_the_troubleshooting_page_is_one_of_ours(message):
    assert message in messages()


def test_the_example_method_works_as_it_is_written(workspace):
    (_, source), *_ = blocks(ROOT / "docs/adding-a-method.md", "python")
    assert EXAMPLE not in methods()
    (workspace.folder / f"grads/methods/{EXAMPLE}.py").write_text(source, encoding="utf-8")
    study = yaml.safe_load((workspace.folder / "mine.yaml").read_text(encoding="utf-8"))
    (_, arms), *_ = blocks(ROOT / "docs/adding-a-method.md", "yaml")
    study["arms"] = {"untuned": {"method": "untuned"}} | yaml.safe_load(arms)["arms"]
    (workspace.folder / "example.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    try:
        planned = workspace.planned("--configfile", "example.yaml")
        code = (
            "import pandas as pd; from grads.methods.contract import Inputs; from grads.methods.registry import *\n"
            "pool = pd.DataFrame({'id': list('abcd'), 'response_tokens': [9, 2, 4, 5]})\n"
            f"method = find_method('{EXAMPLE}')\n"
            "choice = method.select(Inputs({'tokens': pool}, {}, {}, 2, 0), method.parameters(least_tokens=3))\n"
            "print(pool['id'][choice.score.argsort()[::-1]].str.cat())"
        )
        command = [sys.executable, "-c", code]
        run = subprocess.run(command, cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True)
    finally:
        (workspace.folder / f"grads/methods/{EXAMPLE}.py").unlink()
    # Two ratios on two domains; the method needs no probe and no preliminary epoch.
    assert planned["train"] == 4
    assert not {"probe_base", "probe_warm", "train_warm"} & set(planned)
    assert run.stdout.strip() == "cdab", run.stderr
