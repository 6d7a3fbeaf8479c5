"""The small parent of a job: it keeps the log, says what ended the job, and ends it when its Snakemake is gone."""

import contextlib
import ctypes
import faulthandler
import gc
import os
import platform
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from grads.runtime.files import remove
from grads.runtime.places import UNFINISHED, naming_place, size
from grads.runtime.progress import duration

RUNNER = "GRADS_RUNNER"
"""Variable with the identity of the Snakemake process that starts the jobs."""
STARTED = re.compile(r"\d{4}-\d\d-\d\d [\d:]{8} .* on (?P<host>\S+), process (?P<pid>\d+)$")
"""The first line of a log."""
ENDED = "ended with exit status"
"""What the last line begins with where a job failed by itself."""
CHECK_SECONDS = 0.5
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SHORTAGE = "as a rule because memory ran out: see 'Out of memory' in docs/troubleshooting.md"
_PROCESSOR = "an instruction that this processor refuses: see 'A job died with' in docs/troubleshooting.md"
_LIBRARY = "a library crashed, and above stands where: see 'A job died with' in docs/troubleshooting.md"
_STOPPED = "somebody stopped it, or a scheduler whose time limit it reached: the same command carries on"
HINTS: dict[int, str] = {
    signal.SIGKILL: f"the system or a scheduler killed it, {_SHORTAGE}",
    signal.SIGILL: _PROCESSOR,
    signal.SIGFPE: _PROCESSOR,
    signal.SIGSEGV: _LIBRARY,
    signal.SIGABRT: _LIBRARY,
    signal.SIGBUS: "a file that it had mapped into memory was cut off, or its disk is full or failing",
    signal.SIGXCPU: "the limit of CPU time (`ulimit -t`) was reached",
    signal.SIGXFSZ: "the limit of file sizes (`ulimit -f`) was reached",
    signal.SIGTERM: _STOPPED,
    signal.SIGHUP: _STOPPED,
    signal.SIGINT: _STOPPED,
    signal.SIGQUIT: _STOPPED,
}
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def name_runner() -> None:
    """Tell the jobs that this process starts, through their environment, whose they are."""
    os.environ[RUNNER] = identity(os.getpid())


def identity(pid: int) -> str:
    """Return what tells a living process from all others, of any time and machine; empty for a dead one.

    It is empty, too, where there is no /proc. A number alone would be another process's in a container, on another
    machine, and here when it is used again.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        state, *numbers = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        namespace = Path("/proc/self/ns/pid").readlink()
        return "" if state in "ZX" else f"{boot} {namespace} {pid} {numbers[18]}"
    except OSError:
        return ""


def runner_is_gone() -> bool:
    """Return whether the Snakemake that started this job has ended; of another machine's nothing is known."""
    named = os.environ.get(RUNNER, "")
    own = identity(os.getpid())
    if not named or not own or named.split()[:2] != own.split()[:2]:
        return False
    return identity(int(named.split()[2])) != named


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send this process a signal when its parent dies (Linux; elsewhere nothing happens).

    Without it, `kill -9` of Snakemake leaves jobs that keep writing into results. A job whose Snakemake died before it
    could ask ends at once.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent or runner_is_gone():
            os.kill(os.getpid(), signal.SIGKILL)


def supervise(log: Path, outputs: Iterable[Path], title: str) -> None:
    """Make of this process two: return in the child, which is to do the work, while the parent watches it to its end.

    What the child and its own children print goes to `log` and to where this process's standard error goes. Whatever
    ends the child, the parent says so there, and exits with the child's status, or 128 and the number of the signal.
    It ends the child when the parent of both or its Snakemake is gone, and what the child has started when it ends.
    Call it before anything heavy is imported, while the process is small and has no threads.

    Args:
        log: the file to write; its folder is made.
        outputs: what the job makes; unfinished versions of it, which a kill left, are removed.
        title: what the log calls the job.

    Raises:
        GradsError: the log cannot be written.
    """
    outputs = list(outputs)
    with naming_place(log.parent):
        log.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for output in outputs:
        _remove_unfinished(output.parent, stem=output.stem)
    runner = os.getppid()
    supervisor = os.getpid()
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.close(file)
        for descriptor in (1, 2):
            os.dup2(writer, descriptor)
        os.close(writer)
        _become_child(supervisor)
        return
    os.close(writer)
    watch = _Watch(child, runner, reader, file)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    watch.to_log(f"{now} {title} on {platform.node()}, process {supervisor}\n".encode())
    status = watch.until_the_end()
    for folder in {output.parent for output in outputs}:
        _remove_unfinished(folder, process=str(child))
    os._exit(status)


def _become_child(supervisor: int) -> None:
    """Die with the supervisor, say where a crash happened, and take an interrupt that comes twice for one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os.kill(os.getpid(), signal.SIGKILL)
    faulthandler.enable(all_threads=False)
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    last = -1.0

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        # The terminal sends it to this process, too.
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


class _Watch:
    """The work of a supervisor."""

    def __init__(self, child: int, runner: int, reader: int, file: int) -> None:
        self.child = child
        self.runner = runner
        self.reader: int | None = reader
        self.log: int | None = file
        self.screen: int | None = 2
        self.started = time.monotonic()
        # A signal, the child's end among them, ends a wait for something printed.
        self.woken, waker = os.pipe()
        for end in (self.woken, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._forward)
        if sys.platform == "linux":
            # What outlives the child becomes this process's own, to be ended with it.
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        """Send a signal on to the child; a killing one where it comes of the parent's death."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child, signal.SIGKILL if self._is_orphan() else number)

    def _is_orphan(self) -> bool:
        """Return whether nobody waits for the job any more."""
        return os.getppid() != self.runner or runner_is_gone()

    def until_the_end(self) -> int:
        """Copy what the child prints until it has ended, say how it did, and return the exit status to pass on."""
        while True:
            self._copy(CHECK_SECONDS)
            ended, status, used = os.wait4(self.child, os.WNOHANG)
            if ended:
                break
            if self._is_orphan():
                os.kill(self.child, signal.SIGKILL)
        for number in FORWARDED:
            signal.signal(number, signal.SIG_IGN)
        _end_children()
        while self._copy(0.0):
            pass
        self._say_ending(status, used)
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)

    def _copy(self, seconds: float) -> bool:
        """Wait for something printed, so long at most, and copy it; return whether there was any."""
        ready, _, _ = select.select([self.woken, *([] if self.reader is None else [self.reader])], [], [], seconds)
        if self.woken in ready:
            os.read(self.woken, 1 << 16)
        if self.reader is None or self.reader not in ready:
            return False
        text = os.read(self.reader, 1 << 16)
        if not text:
            os.close(self.reader)
            self.reader = None
        self.to_log(text)
        self._to_screen(text)
        return bool(text)

    def to_log(self, text: bytes) -> None:
        """Write to the log; say so where that is no longer possible, and go on without."""
        if self.log is None:
            return
        try:
            _write_all(self.log, text)
        except OSError as error:
            self.log = None
            self._to_screen(f"the log of this job ends here, it cannot be written: {error.strerror}\n".encode())

    def _to_screen(self, text: bytes) -> None:
        if self.screen is None:
            return
        try:
            _write_all(self.screen, text)
        except OSError:
            # Nobody reads it any more.
            self.screen = None

    def _say_ending(self, status: int, used: resource.struct_rusage) -> None:
        after = duration(time.monotonic() - self.started)
        if self._is_orphan():
            # Where Snakemake lives, the process that starts its jobs (`grads.runtime.preload`) was killed.
            lives = os.environ.get(RUNNER) and not runner_is_gone()
            gone = "the process that starts jobs" if lives else "Snakemake"
            text = f"error: {gone} is gone, and the job ended with it after {after}: the same command carries on\n"
        elif os.WIFEXITED(status):
            code = os.WEXITSTATUS(status)
            self.to_log((f"{ENDED} {code} after {after}\n" if code else f"done in {after}\n").encode())
            return
        else:
            # Linux counts in kibibytes, macOS in bytes.
            peak = size(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
            text = f"error: {signal_sentence(os.WTERMSIG(status))} (after {after}, with {peak} of memory at most)\n"
        self.to_log(text.encode())
        self._to_screen(text.encode())


def _write_all(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]


def signal_sentence(number: int) -> str:
    """Return which signal ended a job, and what that means as a rule."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    return f"signal {name} ended the job: {HINTS.get(number, 'see docs/troubleshooting.md')}"


def _end_children() -> None:
    """Kill what this process has as children, and what becomes its child by that."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.is_file() and (pids := children.read_text(encoding="ascii").split()):
        for pid in map(int, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _remove_unfinished(folder: Path, stem: str | None = None, process: str | None = None) -> None:
    """Remove what nobody will finish: versions of one name, or what one process wrote."""
    for path in folder.iterdir() if folder.is_dir() else ():
        found = UNFINISHED.fullmatch(path.name)
        if found and stem in (None, found["stem"]) and process in (None, found["process"]):
            with contextlib.suppress(OSError):
                remove(path)
