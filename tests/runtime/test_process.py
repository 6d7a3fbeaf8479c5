import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grads.runtime.files import read_json

JOB = """
from grads.runtime.process import job
from grads.runtime.errors import GradsError
from types import SimpleNamespace
snakemake = SimpleNamespace(
    rule="r", log=[{log!r}], threads=3, params={{"n": 1}}, resources={{}}, input=[], output=[{output!r}]
)
with job(snakemake, hub={hub}):
    import os
    from pathlib import Path
    print("threads", os.environ["OMP_NUM_THREADS"])
    {body}
"""


def run(body, log, hub=False, **environment):
    log.parent.mkdir(exist_ok=True)
    (log.parent / "made.json").touch()
    script = JOB.format(log=str(log), output=str(log.parent / "made.json"), body=body, hub=hub)
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | environment)


def test_output_goes_to_the_terminal_and_to_the_log(tmp_path):
    result = run(
        "os.system('echo from a child'); Path(snakemake.output[0]).write_text('x')", tmp_path / "logs" / "x.log"
    )
    assert result.returncode == 0
    assert "threads 3" in result.stderr
    log = (tmp_path / "logs" / "x.log").read_text()
    assert "threads 3" in log
    assert "from a child" in log
    manifest = read_json(tmp_path / "logs" / "made.manifest.json")
    assert manifest["settings"] == {"rule": "r", "n": 1}
    assert manifest["machine"]["threads"] == "3"


@pytest.mark.parametrize(
    ("hub", "asked", "offline"), [(False, "0", "offline 1"), (True, "0", "offline 0"), (True, "1", "offline 1")]
)
def test_the_hub_is_switched_off_but_for_fetching(tmp_path, hub, asked, offline):
    result = run("print('offline', os.environ['HF_HUB_OFFLINE'])", tmp_path / "x.log", hub, HF_HUB_OFFLINE=asked)
    assert offline in result.stderr


@pytest.mark.parametrize("asked", [None, ":16:8"])
def test_sums_on_a_gpu_are_asked_to_be_the_same_each_time_unless_somebody_asked_otherwise(tmp_path, monkeypatch, asked):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    given = {} if asked is None else {"CUBLAS_WORKSPACE_CONFIG": asked}
    result = run("print('workspace', os.environ['CUBLAS_WORKSPACE_CONFIG'])", tmp_path / "x.log", **given)
    assert f"workspace {asked or ':4096:8'}\n" in result.stderr


def test_a_user_mistake_is_one_sentence_and_status_2(tmp_path):
    result = run("raise GradsError('data.jsonl:3: no key \"output\": add it')", tmp_path / "x.log")
    assert result.returncode == 2
    assert 'error: data.jsonl:3: no key "output": add it' in result.stderr
    assert "Traceback" not in result.stderr


def test_a_bug_keeps_its_traceback(tmp_path):
    result = run("raise KeyError('x')", tmp_path / "x.log")
    assert result.returncode == 1
    assert "Traceback" in (tmp_path / "x.log").read_text()


def test_a_job_dies_with_its_parent(tmp_path):
    pid_file = tmp_path / "pid"
    child = (
        "from grads.runtime.process import die_with_parent; import os, pathlib, time; die_with_parent(); "
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"]
    )
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    finally:
        os.sched_yield()
