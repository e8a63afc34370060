"""The long operations of the virtual SBC: verify, save, activate, restore and backup, one at a time, polled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from opensdm.simulator.verification import Problem

_log = logging.getLogger(__name__)

IN_PROGRESS = "inProgress"
SUCCESS = "success"
FAIL = "fail"


class JobFailed(Exception):
    """The operation did not succeed; the text is what a poll shows, `problems` what verify found."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@dataclass
class Job:
    """One operation: its name, its status (inProgress, success, fail), and why it failed."""

    operation: str
    status: str = IN_PROGRESS
    error: str | None = None
    problems: tuple[Problem, ...] = field(default=())


class Jobs:
    """Runs one job at a time and remembers the latest: the device answers polls for no other."""

    def __init__(self) -> None:
        self.latest: Job | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self.latest is not None and self.latest.status == IN_PROGRESS

    def start(self, operation: str, delay_s: float, work: Callable[[], Awaitable[None]]) -> Job:
        """Begin the operation: after `delay_s` seconds `work` runs; `JobFailed` from it makes the job fail."""
        job = Job(operation)
        self.latest = job
        self._task = asyncio.create_task(self._run(job, delay_s, work), name=f"virtual-sbc {operation}")
        return job

    def break_off(self, reason: str) -> None:
        """End what runs, unfinished; a poll shows why."""
        if self.latest is not None and self.busy and self._task is not None:
            self.latest.error, self.latest.status = reason, FAIL
            self._task.cancel()

    async def stop(self) -> None:
        """Break off what runs, as a power cut does."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self, job: Job, delay_s: float, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.sleep(delay_s)
            await work()
        except JobFailed as failure:
            job.error, job.problems = str(failure), failure.problems
            job.status = FAIL
        except asyncio.CancelledError:
            job.error, job.status = job.error or "broken off", FAIL
            raise
        except Exception as fault:
            _log.exception("%s broke", job.operation)
            job.error = f"internal fault: {type(fault).__name__}"
            job.status = FAIL
        else:
            job.status = SUCCESS
