"""A wheel of somebody's own, put on Python's path: its method is listed, selects, and stands in manifests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grads.signals.store import write_store
from tests.wheels import install, make_wheel

ROOT = Path(__file__).parents[2]
METHOD = '''
"""`plain`: the records whose loss is the nearest to a number."""
from pydantic import Field

from grads.selection.contract import Choice, Method, Needs, Parameters

from .distances import distance


class Plain(Parameters):
    """Parameters of `plain`."""

    loss: float = Field(2.0, description="The loss that is best.")


def select(inputs, parameters):
    return Choice(-distance(inputs.signals["base"]["response_nll"].to_numpy(), parameters.loss))


METHOD = Method(
    name="plain",
    title="Plain loss",
    source="acme",
    select=select,
    parameters=Plain,
    needs=lambda _: Needs({"base": frozenset({"losses"})}),
)
'''
FILES = {
    "acme_grads/__init__.py": "",
    "acme_grads/plain.py": METHOD,
    "acme_grads/distances.py": "def distance(losses, best):\n    return abs(losses - best)\n",
}
SELECT = """
import json, sys
from pathlib import Path
from grads.runtime.environment import environment
from grads.selection.registry import module_of
from grads.selection.run import select_records
from grads.signals.store import read_store
from grads.study.code import code_version

folder = Path(sys.argv[1])
stores = {name: read_store(folder / name) for name in ("tokens", "base")}
select_records("plain", {"loss": 3.0}, "0.5", 0, stores, {}, folder / "kept.parquet")
code = code_version("grads.selection.run", module_of("plain"))
print(json.dumps({"plugins": environment()["plugins"], "code": code}))
"""


def run(site, *arguments):
    path = os.pathsep.join([str(site), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, env=environment)


def wheel(folder, files=FILES):
    return make_wheel(folder, "acme_grads", files, {"grads.methods": {"plain": "acme_grads.plain"}}, "0.3")


def test_a_method_of_a_wheel_is_listed_and_selects(tmp_path):
    site = install(wheel(tmp_path), tmp_path / "site")
    listed = run(site, "-m", "grads.cli.main", "list", "methods")
    assert listed.returncode == 0, listed.stderr
    (row,) = [line for line in listed.stdout.splitlines() if "plain" in line]
    assert "Plain loss" in row
    shown = run(site, "-m", "grads.cli.main", "list", "methods", "plain")
    assert "--parameter loss=2.0" in shown.stdout
    losses = np.array([1.0, 2.9, 5.0, 3.2, np.pi, 0.5])
    tokens = {"id": list("abcdef"), "prompt_tokens": 3, "response_tokens": 4, "truncated": False}
    write_store(tmp_path / "tokens", pd.DataFrame(tokens), {})
    write_store(tmp_path / "base", pd.DataFrame(tokens | {"response_nll": losses}), {})
    codes = []
    for number, text in enumerate((FILES["acme_grads/distances.py"], FILES["acme_grads/distances.py"] + "\nx = 1\n")):
        changed = wheel(tmp_path / str(number), FILES | {"acme_grads/distances.py": text})
        done = run(install(changed, tmp_path / f"site-{number}"), "-c", SELECT, tmp_path)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["plugins"]["acme_grads"] == "0.3"
        codes.append(said["code"])
        kept = pd.read_parquet(tmp_path / "kept.parquet")
        assert set(kept.loc[kept["kept"], "id"]) == {"b", "d", "e"}
    assert codes[0] != codes[1]


@pytest.mark.parametrize("text", ["import acme_nothing\n", "x = 1\n"])
def test_a_broken_wheel_is_one_sentence(tmp_path, text):
    site = install(wheel(tmp_path, FILES | {"acme_grads/plain.py": text}), tmp_path / "site")
    listed = run(site, "-m", "grads.cli.main", "list", "methods")
    assert listed.returncode == 2
    assert "entry point 'plain' of 'grads.methods' in acme_grads 0.3" in listed.stderr
    assert "Traceback" not in listed.stderr
    assert run(site, "-m", "grads.cli.main", "--help").returncode == 0
