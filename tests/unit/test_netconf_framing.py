"""NETCONF framing: whatever the pieces in which bytes arrive, the messages come out as they went in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensdm.drivers.netconf_framing import END, FramingError, Unframer, framed

LIMIT = 1000
MESSAGES = st.lists(st.binary(min_size=1, max_size=60).filter(lambda m: END not in m), min_size=1, max_size=6)
CUTS = st.lists(st.integers(0, 400), max_size=20)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def taken(unframer: Unframer, parts: list[bytes]) -> list[bytes]:
    found = []
    for part in parts:
        unframer.feed(part)
        while (message := unframer.next()) is not None:
            found.append(message)
    return found


@given(MESSAGES, CUTS, st.booleans())
def test_messages_come_out_as_they_went_in(messages: list[bytes], cuts: list[int], chunked: bool) -> None:
    unframer = Unframer(LIMIT)
    unframer.chunked = chunked
    # At an end marker, bytes that look like a part of it may join it from both sides.
    clean = messages if chunked else [m for m in messages if (m + END).find(END) == len(m)]
    stream = b"".join(framed(m, chunked=chunked) for m in clean)
    assert taken(unframer, pieces(stream, cuts)) == clean


@given(st.binary(min_size=1, max_size=120), CUTS, CUTS)
def test_a_message_may_come_in_any_number_of_chunks(message: bytes, cuts: list[int], chunks: list[int]) -> None:
    parts = [p for p in pieces(message, chunks) if p]
    stream = b"".join(b"\n#%d\n%b" % (len(p), p) for p in parts) + b"\n##\n"
    unframer = Unframer(LIMIT)
    unframer.chunked = True
    assert taken(unframer, pieces(stream, cuts)) == [message]


def test_the_framing_changes_between_two_messages_of_one_piece() -> None:
    unframer = Unframer(LIMIT)
    unframer.feed(framed(b"<hello/>", chunked=False) + framed(b"<rpc/>", chunked=True))
    assert unframer.next() == b"<hello/>"
    unframer.chunked = True
    assert unframer.next() == b"<rpc/>" and unframer.next() is None


@pytest.mark.parametrize(
    "stream",
    [b"<rpc/>", b"\n#0\n", b"\n#01\na", b"\n#-1\n", b"\n##\n", b"\n#99999999999\n", b"\n#4294967296\n", b"\n#3\nabc##",
     b"\n#x", b"x"],
)  # fmt: skip
def test_what_is_no_chunk_is_refused(stream: bytes) -> None:
    unframer = Unframer(10**10)
    unframer.chunked = True
    with pytest.raises(FramingError):
        taken(unframer, [stream])


@given(CUTS)
def test_more_than_the_limit_is_refused_before_it_is_there(cuts: list[int]) -> None:
    marked, chunked = Unframer(100), Unframer(100)
    chunked.chunked = True
    with pytest.raises(FramingError, match="longer than 100 bytes"):
        taken(marked, pieces(b"a" * 107, cuts))
    with pytest.raises(FramingError, match="longer than 100 bytes"):
        taken(chunked, pieces(b"\n#60\n" + b"a" * 60 + b"\n#41\n", cuts))


def test_what_cannot_be_framed_is_not() -> None:
    with pytest.raises(ValueError, match="end marker"):
        framed(b"a" + END, chunked=False)
    with pytest.raises(ValueError, match="no chunks"):
        framed(b"", chunked=True)
