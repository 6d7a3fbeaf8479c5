"""What is said of a job that a signal ends, and what becomes of a job whose Snakemake is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grads.runtime import supervisor
from grads.runtime.supervisor import HINTS, RUNNER, STARTED, identity, name_runner, runner_is_gone

JOB = """
import os, signal, sys, time
from pathlib import Path
from grads.runtime.manifest import begin_artefacts
from grads.runtime.process import job_process
folder = Path(sys.argv[1])
output = folder / "out" / "made.json"
with job_process("r", folder / "logs" / "x.log", [], [output], 1):
    import ctypes
    begin_artefacts([output])
    (folder / "pid").write_text(str(os.getpid()))
"""
FINISH = "(folder / 'out').mkdir(exist_ok=True); output.write_text('x')"
HANG = "print('at work', flush=True); time.sleep(60)\n    " + FINISH


def start(folder, body, **options):
    command = [sys.executable, "-c", f"{JOB}    {body}\n", str(folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def run(folder, body, **options):
    """Return the exit status of a job, what it printed, and its log."""
    process = start(folder, body, **options)
    _, said = process.communicate(timeout=60)
    return process.returncode, said, (folder / "logs" / "x.log").read_text()


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def at_work(folder):
    """Wait until a job hangs, and return the process that does its work."""
    wait_for(lambda: (folder / "logs" / "x.log").is_file() and "at work" in (folder / "logs" / "x.log").read_text())
    return int((folder / "pid").read_text())


def alive(pid):
    return bool(identity(pid))


@pytest.mark.parametrize(
    "number", ["SIGKILL", "SIGFPE", "SIGILL", "SIGBUS", "SIGSEGV", "SIGABRT", "SIGTERM", "SIGXCPU"]
)
def test_a_signal_that_ends_a_job_is_named_with_what_it_means(tmp_path, number):
    status, said, log = run(tmp_path, f"print('half way', flush=True); os.kill(os.getpid(), signal.{number})")
    number = signal.Signals[number]
    assert status == 128 + number
    last = log.splitlines()[-1]
    assert last.startswith(f"error: signal {number.name} ended the job: {HINTS[number]}")
    assert last in said
    assert "half way" in log


def test_a_signal_without_a_name_is_named_by_its_number(tmp_path):
    status, _, log = run(tmp_path, f"os.kill(os.getpid(), {signal.SIGRTMIN + 3})")
    assert status == 128 + signal.SIGRTMIN + 3
    assert f"signal {signal.SIGRTMIN + 3} ended" in log


def test_a_crash_says_where_it_was(tmp_path):
    status, _, log = run(tmp_path, "ctypes.string_at(0)")
    assert status == 128 + signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in log
    assert "string_at" in log


@pytest.mark.parametrize(
    ("body", "status", "ending"),
    [(FINISH, 0, "done in"), ("sys.exit(3)", 3, "exit status 3"), ("os._exit(7)", 7, "exit status 7")],
)
def test_a_log_has_a_beginning_and_an_end_whatever_happens(tmp_path, body, status, ending):
    found, _, log = run(tmp_path, body)
    assert found == status
    assert STARTED.match(log.splitlines()[0])["host"] == os.uname().nodename
    assert ending in log.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_to_the_job_reach_the_work(tmp_path, number):
    process = start(tmp_path, HANG)
    worker = at_work(tmp_path)
    assert worker != process.pid
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert not alive(worker)
    assert f"signal {number.name} ended the job" in (tmp_path / "logs" / "x.log").read_text()


def test_an_interrupt_from_the_terminal_is_a_sentence_and_cleans_up(tmp_path):
    body = "\n    ".join(
        [
            "from grads.runtime.files import atomic_path",
            "with atomic_path(output) as temporary:",
            "    temporary.write_text('half')",
            "    print('at work', flush=True); time.sleep(60)",
        ]
    )
    process = start(tmp_path, body, start_new_session=True)
    at_work(tmp_path)
    # A terminal interrupts both processes, and the supervisor passes it on, too.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert "error: interrupted" in said
    assert "Traceback" not in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".made.json.unfinished"]


def test_what_nohup_ignores_is_ignored(tmp_path):
    process = start(tmp_path, HANG, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    worker = at_work(tmp_path)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert alive(worker)
    process.terminate()
    process.wait(30)


def test_what_a_killed_job_left_half_written_is_removed(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    # Of a job that was killed with all its processes, and of others.
    (out / ".made.99.part.json").touch()
    (out / ".other.99.part.json").touch()
    half = "(folder / 'out' / f'.made.manifest.{os.getpid()}.part.json').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    status, _, _ = run(tmp_path, half)
    assert status == 128 + signal.SIGKILL
    assert {path.name for path in out.iterdir()} == {".other.99.part.json", ".made.json.unfinished"}


def test_what_a_job_started_ends_with_it(tmp_path):
    body = "import subprocess; (folder / 'other').write_text(str(subprocess.Popen(['sleep', '60']).pid)); "
    status, _, _ = run(tmp_path, body + "os.kill(os.getpid(), signal.SIGKILL)")
    assert status == 128 + signal.SIGKILL
    assert not alive(int((tmp_path / "other").read_text()))


def test_the_end_of_the_supervisor_is_the_end_of_the_work(tmp_path):
    process = start(tmp_path, HANG)
    worker = at_work(tmp_path)
    process.kill()
    process.wait(30)
    wait_for(lambda: not alive(worker))


@pytest.mark.parametrize("between", ["{}", "{}; true"], ids=["direct", "through a shell"])
def test_the_end_of_snakemake_is_the_end_of_the_work(tmp_path, between):
    """Also where a shell is between the two, which lives on."""
    job = tmp_path / "job.py"
    job.write_text(f"{JOB}    {HANG}\n")
    command = between.format(f"{sys.executable} {job} {tmp_path}")
    script = (
        "import subprocess; from grads.runtime.supervisor import name_runner; name_runner(); "
        f"subprocess.run({command!r}, shell=True)"
    )
    runner = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    worker = at_work(tmp_path)
    runner.kill()
    runner.wait()
    wait_for(lambda: not alive(worker))
    wait_for(lambda: "Snakemake is gone" in (tmp_path / "logs" / "x.log").read_text())
    assert not (tmp_path / "out" / "made.json").exists()


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.2])
def test_a_job_whose_snakemake_died_while_it_started_does_nothing(tmp_path, after):
    """The kill comes as soon as the job's process is there, before Python has read a line of the job."""
    job = tmp_path / "job.py"
    job.write_text(f"{JOB}    {FINISH}\n")
    script = (
        "import subprocess, sys; from grads.runtime.supervisor import name_runner; name_runner(); "
        f"print(subprocess.Popen([sys.executable, '-X', 'importtime', {str(job)!r}, {str(tmp_path)!r}], "
        "stderr=subprocess.DEVNULL).pid, flush=True); import time; time.sleep(60)"
    )
    runner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pid = int(runner.stdout.readline())
    os.kill(pid, signal.SIGSTOP)
    runner.kill()
    runner.wait()
    time.sleep(after)
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not alive(pid))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "logs").exists()


def test_a_process_of_another_machine_or_container_is_not_missed(monkeypatch):
    boot, namespace, _pid, start_time = identity(os.getpid()).split()
    dead = 2**22 + 1
    for named, gone in (
        (identity(os.getpid()), False),
        (f"{boot} {namespace} {dead} {start_time}", True),
        (f"{boot} {namespace} {os.getpid()} 1", True),
        (f"other-boot {namespace} {dead} {start_time}", False),
        (f"{boot} pid:[1] {dead} {start_time}", False),
        ("", False),
    ):
        monkeypatch.setenv(RUNNER, named)
        assert runner_is_gone() == gone, named


def test_a_zombie_has_ended(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    wait_for(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert identity(child.pid) == ""
    child.wait()
    monkeypatch.delenv(RUNNER, raising=False)
    name_runner()
    assert not runner_is_gone()
    monkeypatch.setattr(supervisor, "identity", lambda pid: "")
    # Without /proc nothing is known.
    assert not runner_is_gone()


def test_a_log_that_cannot_be_written_any_more_does_not_stop_the_job(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "x.log").symlink_to("/dev/full")
    process = start(tmp_path, FINISH)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "No space left" in said
    assert (tmp_path / "out" / "made.json").is_file()


def test_a_log_whose_folder_is_removed_does_not_stop_the_job(tmp_path):
    body = "import shutil; shutil.rmtree(folder / 'logs'); print('on', flush=True); " + FINISH
    process = start(tmp_path, body)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert (tmp_path / "out" / "made.json").is_file()
