"""Long work, as those who wait for it see it: its steps as they happen, its result, and a way to stop it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class TaskState(StrEnum):
    """`INTERRUPTED`: the server that ran it is gone; what the device holds is looked at by the next work on it."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened: `stage` as in the published flags, `state` `BEGUN` or the flag.

    `done` of `total` count edits within the stage, where there are several.
    """

    number: int
    at_us: int
    stage: str
    state: str
    note: str = ""
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One push or restore, whether or not its caller waits for it. Its id comes from its claim.

    `result` is the finished reply as plain data, for showing; `error_code` and `error_message` when it failed.
    """

    task_id: str
    operation: str
    device_id: int
    device_name: str
    user_id: int
    user_name: str
    started_us: int
    state: TaskState
    ended_us: int | None = None
    cancel_asked: bool = False
    error_code: str | None = None
    error_message: str | None = None
    result: Mapping[str, Any] | None = None
    claim_id: int | None = None
