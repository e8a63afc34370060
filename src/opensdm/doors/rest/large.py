"""Large bodies are read and written in a thread: whoever else asks something is not kept waiting by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE = 200
"""From so many members of a list on."""
LONG = 64 * 1024
"""From so many bytes of a body on."""


async def beside(large: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a pure function; in a thread where what it is given is large."""
    return await asyncio.to_thread(function, *args, **kwargs) if large else function(*args, **kwargs)


def is_large(values: Mapping[str, Any]) -> bool:
    """Whether a list in a reply, or in an object of it, is."""
    return any(
        len(value) >= LARGE if isinstance(value, (list, tuple)) else isinstance(value, Mapping) and is_large(value)
        for value in values.values()
    )
