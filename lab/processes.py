"""Processes of the lab, each with the tree below it: started with output to a file, frozen, ended, never forgotten."""

import atexit
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

END_TIMEOUT_S = 10.0

_running: set["Process"] = set()


class Process:
    """One running program, with what it starts."""

    def __init__(self, command: Sequence[str], log: Path, *, home: Path, **environment: str) -> None:
        self.command = tuple(command)
        self.log = log
        with log.open("ab") as output:
            # A lab that is killed outright takes its devices along. The kernel takes the end of the thread that
            # started a process for the end of the lab, so only the main thread may ask for that.
            main = threading.current_thread() is threading.main_thread()
            guard = ["setpriv", "--pdeathsig", "KILL", "--"] if main else []
            self._popen = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=home,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LC_ALL": "C"} | environment,
            )
        _running.add(self)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def pause(self) -> None:
        """Freeze the tree: connections stay open, and nothing answers."""
        for pid in self._frozen_tree():
            _send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the frozen tree run on."""
        for pid in tree(self.pid):
            _send(pid, signal.SIGCONT)

    def end(self) -> None:
        """Ask the program to end in good order, wait, and take down what is left of its tree."""
        below = [pid for pid in self._frozen_tree() if pid != self.pid]
        if self.running:
            self._popen.terminate()
            _send(self.pid, signal.SIGCONT)
            for pid in below:
                _send(pid, signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(END_TIMEOUT_S)
        self._reap(below)

    def cut(self) -> None:
        """SIGKILL for everything below the program, which itself runs on: of an sshd, every connection."""
        below = [pid for pid in self._frozen_tree() if pid != self.pid]
        for pid in below:
            _send(pid, signal.SIGKILL)
        _send(self.pid, signal.SIGCONT)
        wait_gone(below)

    def kill(self) -> None:
        """SIGKILL for the whole tree, at once."""
        self._reap([pid for pid in self._frozen_tree() if pid != self.pid])

    def _reap(self, below: Iterable[int]) -> None:
        if self.running:
            self._popen.kill()
        for pid in below:
            _send(pid, signal.SIGKILL)
        self._popen.wait(END_TIMEOUT_S)
        wait_gone(below)
        _running.discard(self)

    def _frozen_tree(self) -> list[int]:
        """The pids of the tree, its root stopped first so that it starts no more while we look."""
        if not self.running:
            return []
        _send(self.pid, signal.SIGSTOP)
        return tree(self.pid)


def tree(root: int) -> list[int]:
    """`root` and every process below it, as pids, parents first."""
    children: dict[int, list[int]] = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_fields(int(directory.name))[1]), []).append(int(directory.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def wait_gone(pids: Iterable[int], timeout_s: float = END_TIMEOUT_S) -> None:
    """Wait until none of `pids` runs any more; RuntimeError names one that does not go."""
    deadline = time.monotonic() + timeout_s
    for pid in pids:
        while alive(pid):
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {pid} does not end")
            time.sleep(0.005)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not yet waited for does not."""
    try:
        return _fields(pid)[0] not in ("Z", "X")
    except OSError:
        return False


def started(pid: int) -> int:
    """When the process started, in clock ticks since the machine did; OSError without such a process."""
    return int(_fields(pid)[19])


def _fields(pid: int) -> list[str]:
    """What /proc/PID/stat tells from the process's state on."""
    # The name before it, in brackets, may hold spaces and brackets itself.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@atexit.register
def _end_all() -> None:
    for process in list(_running):
        process.kill()
