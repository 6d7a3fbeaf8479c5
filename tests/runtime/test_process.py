import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grads.runtime.files import read_json
from grads.runtime.places import mount_of

JOB = """
import os
from pathlib import Path
from types import SimpleNamespace
from grads.runtime.errors import GradsError
from grads.runtime.process import job_process
from grads.runtime.runner import Machine, perform
inputs, output = [Path(path) for path in {inputs!r}], Path({output!r})
def work(machine):
    print("threads", os.environ["OMP_NUM_THREADS"])
    {body}
job = SimpleNamespace(
    rule="r", takes=["micro_batch"], contents={{}}, settings={{"n": 1}}, inputs=inputs, outputs=[output], run=work
)
with job_process("r", Path({log!r}), inputs, [output], 3, hub={hub}):
    perform(job, Machine(micro_batch=4))
"""


def run(body, log, hub=False, inputs=(), **environment):
    folder = log.parent if not log.parent.is_file() else log.parent.parent
    folder.mkdir(exist_ok=True)
    (folder / "made.json").touch()
    names = {"log": str(log), "output": str(folder / "made.json"), "inputs": list(inputs)}
    script = JOB.format(body=body, hub=hub, **names)
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | environment)


def test_output_goes_to_the_terminal_and_to_the_log(tmp_path):
    result = run("os.system('echo from a child'); output.write_text('x')", tmp_path / "logs" / "x.log")
    assert result.returncode == 0
    assert "threads 3" in result.stderr
    log = (tmp_path / "logs" / "x.log").read_text()
    assert "threads 3" in log
    assert "from a child" in log
    manifest = read_json(tmp_path / "logs" / "made.manifest.json")
    assert manifest["settings"] == {"rule": "r", "n": 1, "micro_batch": 4}
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


@pytest.mark.parametrize(
    "body",
    [
        "raise OSError(28, 'No space left on device')",
        "raise RuntimeError('Error while serializing: I/O error: No space left on device (os error 28)')",
        "from grads.runtime.files import write_text; os.fsync = lambda file: open('/dev/full', 'w').write('x' * 9999); "
        "write_text(output.parent / 'other.json', 'x')",
    ],
)
def test_a_full_disk_is_one_sentence_that_names_it(tmp_path, body):
    result = run(body, tmp_path / "x.log")
    assert result.returncode == 2
    (error,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert "no room is left" in error
    assert f"mounted at {mount_of(tmp_path).point}" in error
    assert "Traceback" not in result.stderr
    # The mark of an output that is not finished is taken away by the job that finishes it.
    assert {path.name for path in tmp_path.iterdir()} == {"made.json", "x.log", ".made.json.unfinished"}


@pytest.mark.parametrize("then", ["", "; raise KeyError('x')", "; inputs[0].read_text()", "; sys.exit(0)"], ids=str)
def test_an_input_that_is_removed_during_a_job_is_a_sentence(tmp_path, then):
    (tmp_path / "input.json").touch()
    body = f"import sys; inputs[0].unlink(){then}"
    result = run(body, tmp_path / "x.log", inputs=[str(tmp_path / "input.json")])
    if "exit" in then:
        assert result.returncode == 0
        return
    assert result.returncode == 2
    assert f"error: {tmp_path / 'input.json'} was removed" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "made.manifest.json").exists()


def test_a_log_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "logs").touch()
    result = run("print('x')", tmp_path / "logs" / "x.log")
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {tmp_path / 'logs'}")
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
