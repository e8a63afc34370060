"""Staged changes onto a new base: what merges by itself, and where two sides changed the same attribute."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clash:
    """One attribute that both sides changed to different values; secrets are masked.

    `attribute` None: one side deleted the element that the other changed; a side reads `present` or None.
    """

    path: str
    key: tuple[str, ...]
    attribute: str | None
    base: str | None
    mine: str | None
    theirs: str | None
