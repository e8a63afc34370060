"""Named places where a test may kill or stop the server, to prove what survives.

`OPENSDM_FAILPOINT=take_lock.written:3` ends the process with SIGKILL when that place is reached for the
third time; `begin_step.committed:3:stop` stops it there with SIGSTOP, until it is sent SIGCONT. Unset, a failpoint
costs one comparison.
"""

from __future__ import annotations

import os
import signal

_WANTED, _COUNT, _HOW = (*os.environ.get("OPENSDM_FAILPOINT", "").split(":"), "", "")[:3]
_SIGNAL = signal.SIGSTOP if _HOW == "stop" else signal.SIGKILL
_left = int(_COUNT or "1") if _WANTED else 0

STAGES = ("decided", "written", "committed")
"""Of each transition: rows decided but not written; written but not committed; committed, unanswered."""
TRANSITIONS = (
    "take_lock", "promote", "give_up", "release_lock", "take_away", "expire", "ask_release", "confirm", "guard",
    "admit", "start_claim", "leave_queue", "begin_step", "finish_step", "fence", "end_claim", "interrupt", "write",
)  # fmt: skip


def all_failpoints() -> list[str]:
    """Every name there is."""
    return [f"{transition}.{stage}" for transition in TRANSITIONS for stage in STAGES]


def failpoint(name: str) -> None:
    """End the process here, or stop it, if the environment asked for it."""
    global _left
    if _WANTED and name == _WANTED:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), _SIGNAL)
