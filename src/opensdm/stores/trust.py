"""For how long a node may believe what its database shows it.

A primary that was cut off from its standby still answers reads, for ever, while locks change hands at its successor. No
commit of it returns. So a node tells what it reads as the truth only as long as a commit of its own, its heartbeat, has
returned lately enough that no peer can have declared it dead.
"""

from __future__ import annotations

import math
import time

from opensdm.core.errors import StoreUnavailable


class Trust:
    """Unlimited until somebody vouches for the first time: commands and embedded databases have no peers."""

    def __init__(self) -> None:
        self._until_s = math.inf
        self._since_s = 0.0

    def vouch(self, since_s: float, for_s: float) -> None:
        """A commit begun at `since_s`, by the monotonic clock, has returned: that is good for `for_s`."""
        self._since_s, self._until_s = since_s, since_s + for_s

    @property
    def lost(self) -> str | None:
        """Why nothing may be believed, in a sentence; None while it may."""
        now_s = time.monotonic()
        if now_s <= self._until_s:
            return None
        return (
            f"the database has confirmed no sign of life of this server for {now_s - self._since_s:.0f} s, "
            "so who holds which lock is not known here"
        )

    def check(self) -> None:
        """Raise StoreUnavailable where nothing may be believed."""
        if (why := self.lost) is not None:
            raise StoreUnavailable(f"{why}, and nothing was done; try again in a moment")
