"""Jobs that start with their libraries loaded: one process of a run imports them, and each job is a fork of it.

Importing torch, transformers, PEFT and lm-eval takes 6 to 10 s of processor time, more than most jobs of a small study
work. `start_server` begins that process, `hand_over` lets it run a job's script in the place of the caller. Whatever
stands in the way of it (another Python, a container, a server that is gone) costs the seconds and nothing else: the
job then imports what it needs itself.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grads.runtime.libraries import settle_libraries

SERVER = "GRADS_PRELOAD"
"""Variable with the name of the server's socket; `off` asks for no server."""
FEWEST_JOBS = 3
"""Jobs of a run from which on a server is worth its start."""
LIBRARIES = (
    "torch",
    "transformers",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "peft",
    "datasets",
    "lm_eval.models.huggingface",
    "lm_eval.evaluator",
    "lm_eval.tasks",
    "pandas",
    "scipy.stats",
    "sacrebleu",
    "nltk",
    "snakemake.script",
)
"""What most jobs import; none of ours, whose state is the one that each job finds."""
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_LENGTH = struct.Struct("!I")
_CREDENTIALS = struct.Struct("3i")
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


def can_preload() -> bool:
    """Return whether a server would work here: on Linux, and without ROCm, whose runtime comes with torch's import."""
    return sys.platform == "linux" and not Path("/dev/kfd").exists()


def _driver_is_loaded() -> bool:
    """Return whether this process holds the driver of NVIDIA's GPUs, which does not outlive a fork.

    Importing torch does not load it, asking torch for a device does.
    """
    return "libcuda.so" in Path("/proc/self/maps").read_text()


def start_server(jobs: int, libraries: Sequence[str] = LIBRARIES) -> None:
    """Begin to load libraries for the jobs that this process will start; they find the server by their environment.

    The server dies with this process. Nothing happens where it would not work or not pay, or `GRADS_PRELOAD` is `off`.

    Args:
        jobs: how many jobs are to run.
        libraries: modules to import.
    """
    if os.environ.get(SERVER) == "off" or jobs < FEWEST_JOBS or not can_preload():
        return
    name = f"grads-{os.getpid()}-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX) as listener:
        # A name without a file: it is gone with the server.
        listener.bind(f"\0{name}")
        # Jobs connect while libraries are still loading, and wait.
        listener.listen(128)
        command = [sys.executable, "-m", "grads.runtime.preload", str(listener.fileno()), str(os.getpid()), *libraries]
        # One thread: a process with more must not fork.
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        # A library that asks for GPUs as it is imported is answered without their driver.
        undriven = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
        subprocess.Popen(
            command,
            pass_fds=[listener.fileno()],
            env=os.environ | threads | undriven,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    os.environ[SERVER] = name


def hand_over() -> None:
    """Let the server run this process's script, wait for its end and exit as it did; return where there is no server.

    Signals that this process gets go to the job, and when this process dies, the job does.
    """
    name = os.environ.pop(SERVER, "")
    if name in ("", "off") or not can_preload():
        return
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(f"\0{name}")
            if _user_of(connection) != os.getuid():
                return
            _send(connection, _Job.of_this_process().as_json(), [0, 1, 2])
            pid = _receive_number(connection)
        except OSError:
            return
        if not pid:
            return

        def forward(number: int, _frame: Any) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

        for number in _FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, forward)
        status = _receive_number(connection)
    # Without an answer the server was killed, and its jobs with it.
    os._exit(128 + signal.SIGKILL if status is None else status)


class _Job:
    """What a process must be like in order to stand for another one that runs a script."""

    def __init__(self, arguments: list[str], folder: str, environment: dict[str, str], python: list[str]) -> None:
        self.arguments = arguments
        self.folder = folder
        self.environment = environment
        self.python = python

    @classmethod
    def of_this_process(cls) -> "_Job":
        return cls(sys.argv, str(Path.cwd()), dict(os.environ), _python())

    def as_json(self) -> bytes:
        return json.dumps(vars(self)).encode()


def _python() -> list[str]:
    """Return what two processes must have in common to import the same."""
    return [sys.executable, sys.version, os.environ.get("PYTHONPATH", "")]


def _user_of(connection: socket.socket) -> int:
    """Return the user at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def _send(connection: socket.socket, text: bytes, files: list[int]) -> None:
    socket.send_fds(connection, [_LENGTH.pack(len(text))], files)
    connection.sendall(text)


def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    length, files, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
    if len(length) < _LENGTH.size:
        raise ConnectionError("a job that ended before it asked")
    return _receive_bytes(connection, _LENGTH.unpack(length)[0]), list(files)


def _receive_bytes(connection: socket.socket, length: int) -> bytes:
    text = b""
    while len(text) < length:
        if not (part := connection.recv(length - len(text))):
            raise ConnectionError("the other end is gone")
        text += part
    return text


def _receive_number(connection: socket.socket) -> int | None:
    try:
        return int(_LENGTH.unpack(_receive_bytes(connection, _LENGTH.size))[0])
    except ConnectionError:
        return None


class _Server:
    """Forks a process for each job that asks, and tells who asked how it ended."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.connections: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Answer until this process is killed, as it is when its Snakemake ends; return in a job's process, never."""
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        woken.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        while True:
            watched = [self.listener, woken, *self.connections.values()]
            ready = select.select(watched, [], [])[0]
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(1 << 16)
            self._report_ended()
            for pid, connection in list(self.connections.items()):
                # A job's end of the connection says nothing more: readable is closed, whoever asked is dead.
                if connection in ready:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                    connection.close()
                    del self.connections[pid]
            if self.listener in ready:
                self._answer(self.listener.accept()[0], [woken, waker])

    def _report_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if (connection := self.connections.pop(pid, None)) is not None:
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(OSError):
                    connection.sendall(_LENGTH.pack(code if code >= 0 else 128 - code))
                connection.close()

    def _answer(self, connection: socket.socket, own: list[socket.socket]) -> None:
        files: list[int] = []
        try:
            if _user_of(connection) != os.getuid():
                raise ConnectionError("another user")
            text, files = _receive(connection)
            job = _Job(**json.loads(text))
            if len(files) != 3 or job.python != _python() or not _may_fork():
                raise ConnectionError("this job cannot be run here")
        except (OSError, ValueError, TypeError):
            connection.close()
            for file in files:
                os.close(file)
            return
        pid = os.fork()
        if pid == 0:
            for other in (self.listener, connection, *own, *self.connections.values()):
                other.close()
            _run(job, files)
        for file in files:
            os.close(file)
        self.connections[pid] = connection
        with contextlib.suppress(OSError):
            connection.sendall(_LENGTH.pack(pid))


def _may_fork() -> bool:
    """Return whether this process has one thread: of a lock that another one holds, a fork has a copy for ever."""
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    # Arrow's allocator ends its own thread before a fork.
    return len([name for name in names if name != "jemalloc_bg_thd"]) == 1


def _run(job: _Job, files: list[int]) -> None:
    """Be the process that asked: run its script as it would have, and exit."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    for standard, file in enumerate(files):
        os.dup2(file, standard)
        os.close(file)
    os.environ.clear()
    os.environ.update(job.environment)
    # What `top` shows of it.
    ctypes.CDLL(None).prctl(_PR_SET_NAME, Path(job.arguments[0]).name.encode())
    _exit_after(lambda: _execute(job))


def _execute(job: _Job) -> None:
    os.chdir(job.folder)
    sys.argv[:] = job.arguments
    script = Path(job.arguments[0])
    sys.path[0] = str(script.parent.resolve())
    main = sys.modules["__main__"]
    names = {"__name__": "__main__", "__file__": str(script), "__builtins__": __builtins__}
    main.__dict__.clear()
    main.__dict__.update(names)
    exec(compile(script.read_bytes(), str(script), "exec"), main.__dict__)


def _exit_after(run: Callable[[], None]) -> None:
    """End this process after `run` as an interpreter ends: its exit functions called, its output written."""
    code = 0
    try:
        run()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException as error:
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
        # Not the lines of this module, which stand above the script's.
        where = error.__traceback__
        for _ in range(3):
            where = where.tb_next if where is not None else None
        traceback.print_exception(type(error), error, where)
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main(listener: int, parent: int, libraries: Sequence[str]) -> None:
    """Load the libraries and serve; ends with `parent`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    # A terminal sends these to every process, and jobs are told by those who asked for them.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.environ.pop(SERVER, None)
    settle_libraries()
    for library in libraries:
        importlib.import_module(library)
    if _driver_is_loaded():
        return
    gc.collect()
    gc.freeze()
    _Server(socket.socket(fileno=listener)).serve()


if __name__ == "__main__":
    # The module's own name, under which a job's script may import it; `__main__` becomes the script's.
    importlib.import_module("grads.runtime.preload").main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
