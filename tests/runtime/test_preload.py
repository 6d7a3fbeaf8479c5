"""Jobs run by a process that has their libraries loaded are the jobs that they would be without it."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from grads.runtime.preload import FEWEST_JOBS, SERVER, can_preload

pytestmark = pytest.mark.skipif(not can_preload(), reason="jobs start by themselves here")

# A run: it starts a server, then scripts, each in a process of its own, and says how they ended.
RUN = """
import json, os, subprocess, sys, time
from grads.runtime.preload import SERVER, start_server
from grads.runtime.supervisor import name_runner
name_runner()
start_server({jobs}, ["colorsys"])
print(json.dumps(os.environ.get(SERVER)), flush=True)
for script in sys.argv[1:]:
    done = subprocess.run([sys.executable, script, "an argument"], capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
sys.stdin.read()
"""
HAND_OVER = (
    "import sys; preloaded = 'colorsys' in sys.modules\nfrom grads.runtime.preload import hand_over; hand_over()\n"
)
WAIT = HAND_OVER + "import os, time; open({path!r}, 'w').write(str(os.getpid())); time.sleep(600)"


class Run:
    """A process that starts jobs."""

    def __init__(self, folder, jobs=FEWEST_JOBS, **environment):
        self.folder = folder
        self.jobs = jobs
        self.environment = os.environ | environment
        self.scripts = []

    def script(self, body, begin=HAND_OVER):
        path = self.folder / f"script{len(self.scripts)}.py"
        path.write_text(begin + body, encoding="utf-8")
        self.scripts.append(str(path))

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN.format(jobs=self.jobs), *self.scripts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )
        self.server = json.loads(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def ended(self):
        return json.loads(self.process.stdout.readline())


def run(folder, body, **settings):
    started = Run(folder, **settings)
    started.script(body)
    with started:
        return started.ended()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


SHOW = """
import json, os
print(json.dumps([preloaded, sys.argv[1:], os.getcwd(), __name__, __file__, os.environ["SHOWN"], sys.path[0]]))
print("to the error stream", file=sys.stderr)
"""


def test_a_job_sees_what_it_would_see_by_itself(tmp_path):
    shared, alone = (run(tmp_path, SHOW, SHOWN="yes", **{SERVER: asked}) for asked in ("", "off"))
    assert shared[0] == alone[0] == 0
    seen = [json.loads(one[1]) for one in (shared, alone)]
    assert [one.pop(0) for one in seen] == [True, False]
    assert seen[0] == seen[1]
    assert shared[2] == alone[2] == "to the error stream\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("sys.exit(7)", 7),
        ("sys.exit('said')", 1),
        ("sys.exit()", 0),
        ("1 / 0", 1),
        ("import os; os._exit(9)", 9),
        ("def main():\n    raise KeyError('no such key')\nmain()", 1),
        ("import atexit; atexit.register(print, 'at the end')", 0),
        ("print('no end of line', end='')", 0),
    ],
)
def test_a_job_ends_as_it_would_by_itself(tmp_path, body, status):
    shared, alone = (run(tmp_path, body, **{SERVER: asked}) for asked in ("", "off"))
    assert shared == alone
    assert shared[0] == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_the_end_by_a_signal_is_told(tmp_path, number):
    body = f"import os, signal; signal.signal({number}, signal.SIG_DFL); os.kill(os.getpid(), {number})"
    assert run(tmp_path, body if number != signal.SIGKILL else "import os; os.kill(os.getpid(), 9)")[0] == 128 + number


def test_jobs_start_from_the_same_state(tmp_path):
    started = Run(tmp_path)
    for _ in range(2):
        started.script("import builtins; print(hasattr(builtins, 'left')); builtins.left = 1; import json; left = 1")
    with started:
        assert started.ended() == started.ended() == [0, "False\n", ""]


@pytest.mark.parametrize("settings", [{SERVER: "off"}, {"jobs": FEWEST_JOBS - 1}])
def test_no_server_is_started_where_none_is_asked_for_or_pays(tmp_path, settings):
    started = Run(tmp_path, **settings)
    started.script("print(preloaded)")
    with started:
        assert started.server in (None, "off")
        assert started.ended() == [0, "False\n", ""]


def test_a_server_that_is_gone_costs_nothing(tmp_path):
    assert run(tmp_path, "print(preloaded)", jobs=0, **{SERVER: "grads-of-another-time"}) == [0, "False\n", ""]


def test_another_python_path_is_not_served(tmp_path):
    begin = f"import os; os.environ['PYTHONPATH'] = {str(tmp_path)!r} + ':' + os.environ.get('PYTHONPATH', '')\n"
    started = Run(tmp_path)
    started.script("print(preloaded)", begin + HAND_OVER)
    with started:
        assert started.ended() == [0, "False\n", ""]


@pytest.fixture
def waiting(tmp_path):
    """Return a run whose job waits, and the pids of the job, of the process that asked for it, and of the server."""
    path = tmp_path / "pid"
    started = Run(tmp_path)
    started.script(WAIT.format(path=str(path)), "")
    with started:
        job = int(wait_for(lambda: path.is_file() and path.read_text()))
        server = psutil.Process(job).ppid()
        asked = next(one.pid for one in psutil.Process(started.process.pid).children() if one.pid != server)
        yield started, job, asked, server


def test_a_job_dies_with_the_process_that_asked(waiting):
    started, job, asked, server = waiting
    os.kill(asked, signal.SIGKILL)
    wait_for(lambda: not is_alive(job))
    assert is_alive(server)
    assert started.ended()[0] == -signal.SIGKILL


def test_a_job_dies_with_its_run(waiting):
    started, job, _, server = waiting
    started.process.kill()
    wait_for(lambda: not is_alive(server))
    # A job's own watch ends it, see test_supervisor; here there is none, and the kernel tells it of the server's end.
    os.kill(job, signal.SIGKILL)


def test_who_asked_does_not_wait_for_a_server_that_was_killed(waiting):
    started, job, asked, server = waiting
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not is_alive(asked))
    # It holds the stream that the run reads.
    os.kill(job, signal.SIGKILL)
    assert started.ended()[0] == 128 + signal.SIGKILL


def test_the_log_tells_a_server_that_was_killed_from_a_run_that_was(tmp_path):
    log, pid = tmp_path / "job.log", tmp_path / "pid"
    body = """
import os, time
from pathlib import Path
from grads.runtime.supervisor import supervise
supervise(Path({log!r}), [], "rule")
Path({pid!r}).write_text(str(os.getppid()))
time.sleep(600)
"""
    started = Run(tmp_path)
    started.script(body.format(log=str(log), pid=str(pid)))
    with started:
        supervisor = int(wait_for(lambda: pid.is_file() and pid.read_text()))
        os.kill(psutil.Process(supervisor).ppid(), signal.SIGKILL)
        wait_for(lambda: not is_alive(supervisor))
        assert "the process that starts jobs is gone" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_job(waiting, number):
    started, job, asked, _ = waiting
    os.kill(asked, number)
    wait_for(lambda: not is_alive(job))
    assert started.ended()[0] in (128 + number, 130)
