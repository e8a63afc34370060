"""Python's garbage collector, kept from stopping the event loop.

A full collection walks every object there is. While a configuration of 50,000 elements is in memory that takes about a
second, in which nobody is answered, and the loads that bring so many objects are what makes Python begin one. Almost
nothing here is garbage of the kind it looks for: values without cycles go by themselves. So full collections come only
in quiet moments, and what the program itself consists of is left out of them.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

YOUNG, MIDDLE, NEVER = 50_000, 20, 1_000_000_000
EVERY_S, LOOK_AGAIN_S = 300.0, 5.0
LATEST = 120
"""So often a full collection is put off because work runs; then it comes all the same."""


def settle() -> None:
    """What is loaded by now stays for good: never walked again. From here on no full collection begins by itself."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


async def collect_in_quiet(busy: Callable[[], bool]) -> None:
    """A full collection now and then, for ever, at moments when nothing runs."""
    while True:
        await asyncio.sleep(EVERY_S)
        for _ in range(LATEST):
            if not busy():
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        gc.collect()
