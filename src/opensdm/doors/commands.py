"""Calls on a lock as commands of `opensdm lock`: what the doors to the network recommend to whoever was refused.

A command waits for another user's lock, which no request does, and needs no cookie; its line names server and user.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opensdm.core.errors import NextStep
from opensdm.core.inventory import wire_id
from opensdm.core.lock import Blocker

_PLAIN = re.compile(r"(?!ID[0-9]+$)\w.*")
"""A name that cannot be taken for an option or an id."""
_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `options`: which of the operation's fields go into which option."""

    verb: str
    options: Mapping[str, str] = field(default_factory=dict)

    def line(self, step: NextStep, base: str, blockers: Iterable[Blocker] = ()) -> str:
        """`opensdm lock take edge-a --wait 10m --user bob --url https://...`, as a shell takes it."""
        device_id = step.arguments.get("device_id")
        words = ["opensdm", "lock", self.verb, _device(device_id, blockers)]
        for name, option in self.options.items():
            value = step.arguments.get(name)
            if value is not None:
                words += [option, _span(value) if name == "wait_s" else str(value)]
        if step.sender:
            words += ["--user", step.sender]
        return shlex.join([*words, "--url", base])


COMMANDS: Mapping[str, Command] = {
    "AskForLock": Command("ask", {"message": "--message"}),
    "CheckLock": Command("check"),
    "ConfirmDevice": Command("confirm", {"note": "--note"}),
    "LockDevice": Command("take", {"reason": "--reason", "wait_s": "--wait"}),
    "OverrideLock": Command(
        "override", {"reason": "--reason", "expected_holder": "--holder", "expected_epoch": "--epoch"}
    ),
    "UnlockDevice": Command("release", {"epoch": "--epoch"}),
}


def _device(device_id: Any, blockers: Iterable[Blocker]) -> str:
    """By its name where the refusal tells it."""
    if not isinstance(device_id, int):
        return "DEVICE"
    name = next((each.device_name for each in blockers if each.device_id == device_id), "")
    return name if _PLAIN.fullmatch(name) else wire_id(device_id)


def _span(seconds: float) -> str:
    """As `--wait` reads it: `10m`, `90s`."""
    whole = round(seconds)
    return f"{whole // _MINUTE_S}m" if whole and whole % _MINUTE_S == 0 else f"{whole}s"
