"""What a terminal would show of what a device sends, in time that grows with its length and no faster."""

from __future__ import annotations

import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from opensdm.drivers.cli_shell import cleaned


def one_by_one(text: str) -> str:
    while (shorter := re.sub("[^\x08\n]\x08", "", text)) != text:
        text = shorter
    return re.sub("[\x00\x07\x08\r]", "", text)


@given(st.text(st.sampled_from("ab\x08\n\r\x07"), max_size=40))
def test_what_was_erased_is_gone(text: str) -> None:
    assert cleaned(text) == one_by_one(text)


def test_a_device_that_erases_much_keeps_nobody_waiting() -> None:
    """Counted in calls, since no test may depend on how fast a machine is: a pass for each erasure is too much."""
    passes = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal passes
        passes += event in ("call", "c_call") and "sub" in getattr(argument, "__name__", "")

    sys.setprofile(count)
    try:
        shown = cleaned("x" * 3000 + "\x08" * 3000 + "prompt# ")
    finally:
        sys.setprofile(None)
    assert shown == "prompt# " and passes < 20
