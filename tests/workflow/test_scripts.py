"""The workflow's scripts by themselves: what they hand on of the config, and which of them take a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from grads.runtime import locks

SCRIPTS = Path("workflow/scripts")
SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
# What Snakemake puts into a script, and stages that only say what they were given.
RUN = """
import json, runpy, sys
from types import SimpleNamespace
from snakemake.iocontainers import InputFiles, OutputFiles, Params, ResourceList
script, given = sys.argv[1], json.loads(sys.argv[2])
kinds = {"input": InputFiles, "output": OutputFiles, "params": Params, "resources": ResourceList}
parts = {name: kind(fromdict=given.pop(name, {})) for name, kind in kinds.items()}
snakemake = SimpleNamespace(rule="r", threads=1, wildcards={}, **parts, **given)
"""


@pytest.fixture
def script(tmp_path):
    """Run a script after some preparation and return what it printed."""

    def run(name, preparation, **given):
        content = RUN + preparation + "\nrunpy.run_path(script, {'snakemake': snakemake})"
        given = {"log": [str(tmp_path / "a.log")], "config": {}} | given
        command = [sys.executable, "-c", content, str(SCRIPTS / f"{name}.py"), json.dumps(given)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


@pytest.mark.parametrize(("point", "waits"), [("tokens", 0), ("base", 1)])
def test_counting_tokens_takes_no_gpu(script, tmp_path, monkeypatch, point, waits):
    monkeypatch.setattr(locks, "local_devices", lambda: 1)
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    locks.take_device_slot()
    holder = locks._held.pop()
    # As monkeypatch would not undo what was taken.
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    preparation = f"""
from grads.probing import run as module
from grads.runtime import locks
locks.local_devices, locks.tempfile.gettempdir = lambda: 1, lambda: {str(tmp_path)!r}
def wait(seconds):
    print("waits for a GPU")
    raise SystemExit(0)
locks.time.sleep = wait
module.probe_tokens = module.probe_model = lambda task: print("probes", task.point, task.adapter_seed)
"""
    parameters = {"point": point, "format": {}, "limits": {}, "adapter_seed": None}
    files = {"model": "model", "records": "records"}
    try:
        said = script("probe", preparation, params=parameters, input=files, output={"store": str(tmp_path / "store")})
    finally:
        holder.close()
    assert said.count("waits for a GPU") == waits
    assert said.count(f"probes {point} 0") == 1 - waits


@pytest.mark.parametrize("allowed", [True, False])
def test_items_of_benchmarks_that_run_code_are_drawn_where_it_is_allowed(script, tmp_path, allowed):
    preparation = """
import grads.data.prepare as prepare
prepare.prepare_general = lambda general, archives, out: print("allowed", general.allow_code, sorted(general.tasks))
"""
    config = SMOKE | {"general": SMOKE["general"] | {"allow_code": allowed}}
    out = {"text": str(tmp_path / "text.jsonl")}
    said = script("prepare_general", preparation, params={"archives": {}}, output=out, config=config)
    assert f"allowed {allowed} {sorted(SMOKE['general']['tasks'])}" in said


def test_a_benchmark_is_fetched_as_the_config_allows(script, tmp_path):
    preparation = """
import grads.data.sources.named_tasks as harness
harness.fetch_task = lambda source, allow_code, out: print("fetches", source.name, allow_code)
"""
    config = SMOKE | {"general": SMOKE["general"] | {"allow_code": True}}
    source = {"kind": "harness", "name": "humaneval", "revision": "main"}
    out = {"folder": str(tmp_path / "humaneval")}
    said = script("prefetch", preparation, params={"source": source}, output=out, config=config)
    assert "fetches humaneval True" in said


def test_a_domain_without_its_title_is_called_by_its_name(script, tmp_path):
    preparation = """
import grads.data.prepare as prepare
prepare.prepare_domains = lambda domains, *rest: print([(name, domain.title) for name, domain in domains.items()])
"""
    source = {"kind": "file", "path": "a.jsonl"}
    parameters = {"domains": {"sums": {"source": source}, "law": {"title": "Law", "source": source}}, "archives": {}}
    parameters |= {"splits": SMOKE["splits"], "overlap": "report"}
    files = {"input": {"general": "a"}, "output": {"counts": str(tmp_path / "counts.json")}}
    assert "[('sums', 'sums'), ('law', 'Law')]" in script("prepare_domains", preparation, params=parameters, **files)
