"""How NETCONF messages stand in a byte stream (RFC 6242): with an end marker at base:1.0, in chunks at base:1.1."""

from __future__ import annotations

import re

END = b"]]>]]>"
_CHUNK_END = b"\n##\n"
_HEADER = re.compile(rb"\n#(?:([1-9][0-9]{0,9})|#)\n")
_HEADER_MAX = len(b"\n#4294967295\n")
_MAX_CHUNK = 4294967295


class FramingError(Exception):
    """The stream is not what the framing says it is; nothing after this can be read."""


def framed(message: bytes, *, chunked: bool) -> bytes:
    """One message as it is sent. An empty message cannot be written in chunks: ValueError."""
    if not chunked:
        if END in message:
            raise ValueError("the message contains its own end marker")
        return message + END
    if not message:
        raise ValueError("an empty message has no chunks")
    return b"\n#%d\n%b%b" % (len(message), message, _CHUNK_END)


class Unframer:
    """Takes bytes as they come and gives whole messages, none longer than `limit` bytes.

    Every peer begins with end markers; `chunked` is set after the first message, before the next one is asked for.
    """

    def __init__(self, limit: int) -> None:
        self.chunked = False
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._message = bytearray()
        self._missing = 0

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole message, or None until more bytes come. Raises FramingError."""
        return self._next_chunked() if self.chunked else self._next_marked()

    def _next_marked(self) -> bytes | None:
        at = self._buffer.find(END, self._searched)
        if at < 0:
            self._check_length(len(self._buffer))
            # The marker may have come in part.
            self._searched = max(0, len(self._buffer) - len(END) + 1)
            return None
        self._check_length(at)
        message = bytes(self._buffer[:at])
        del self._buffer[: at + len(END)]
        self._searched = 0
        return message

    def _next_chunked(self) -> bytes | None:
        while True:
            if self._missing:
                part = self._buffer[: self._missing]
                self._message += part
                del self._buffer[: len(part)]
                self._missing -= len(part)
                if self._missing:
                    return None
            header = _HEADER.match(self._buffer)
            if header is None:
                self._check_header()
                return None
            size = header[1]
            del self._buffer[: header.end()]
            if size is None:
                return self._whole()
            self._missing = int(size)
            if self._missing > _MAX_CHUNK:
                raise FramingError("a chunk is larger than any may be")
            self._check_length(len(self._message) + self._missing)

    def _whole(self) -> bytes:
        if not self._message:
            raise FramingError("a message without chunks")
        message, self._message = bytes(self._message), bytearray()
        return message

    def _check_header(self) -> None:
        """What is there may still become a chunk's header, or it is none."""
        begun = bytes(self._buffer[: _HEADER_MAX + 1])
        if not re.fullmatch(rb"(\n(#(#|[1-9][0-9]{0,9})?)?)?", begun):
            raise FramingError("a chunk does not begin with its size")

    def _check_length(self, length: int) -> None:
        if length > self._limit:
            raise FramingError(f"a message is longer than {self._limit} bytes")
