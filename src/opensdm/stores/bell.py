"""A bell: whoever waits for the next stroke hears it, however many they are."""

from __future__ import annotations

import asyncio


class Bell:
    """Take `next()` before looking at what it tells of, then wait for it: no stroke in between is lost."""

    def __init__(self) -> None:
        self._stroke = asyncio.Event()

    def next(self) -> asyncio.Event:
        return self._stroke

    def ring(self) -> None:
        struck, self._stroke = self._stroke, asyncio.Event()
        struck.set()
