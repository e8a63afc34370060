"""Work on whole configurations, beside the event loop: whoever else asks something is not kept waiting by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sized
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE = 200
"""From so many elements on, going over to a thread costs less than it would keep others waiting."""


async def aside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a pure function, in a thread when what it is given is large. It must not touch a store or a device."""
    if sum(len(a) for a in (*args, *kwargs.values()) if isinstance(a, Sized)) < LARGE:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
