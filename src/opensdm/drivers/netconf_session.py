"""A NETCONF session over SSH: one request at a time, every wait bounded, each reply read and never trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

import asyncssh
from lxml import etree

from opensdm.core.errors import Rejected, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.drivers.base import NotSent
from opensdm.drivers.netconf_framing import FramingError, Unframer, framed
from opensdm.drivers.netconf_xml import BASE_1_0, BASE_1_1, Reply, hello, read_hello, rpc
from opensdm.drivers.ssh import SshLink, open_ssh

NETCONF_PORT = 830
HELLO_S = 8.0
ANSWER_S = 60.0
MAX_MESSAGE = 256 * 1024 * 1024
PARSED_INLINE = 64 * 1024
"""Longer replies are parsed in a thread, so that they stall nobody else."""
_READ = 64 * 1024
_STANDARD = "urn:ietf:params:netconf:capability:"

T = TypeVar("T")


class NetconfSession:
    """One session on a device. Once a reply is overdue or cannot be read it is `closed`, and nothing more leaves it."""

    def __init__(self, link: SshLink, writer: asyncssh.SSHWriter[bytes], reader: asyncssh.SSHReader[bytes]) -> None:
        self._link = link
        self._writer = writer
        self._reader = reader
        self._unframer = Unframer(MAX_MESSAGE)
        self._number = 0
        self._broken = False
        self._turn = asyncio.Lock()
        self.session_id = ""
        self.capabilities: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return self._link.address

    @property
    def learned(self) -> Mapping[str, str]:
        return self._link.learned

    @property
    def closed(self) -> bool:
        return self._broken or self._link.closed or self._reader.at_eof()

    def offers(self, capability: str, *versions: str) -> bool:
        """Whether the device has a standard capability, `candidate`, in one of the versions (none: in any)."""
        wanted = tuple(f"{_STANDARD}{capability}:{version}" for version in versions or ("",))
        return any(uri.split("?")[0].startswith(wanted) for uri in self.capabilities)

    async def begin(self) -> None:
        """Exchange hellos. Raises Unreachable, or Rejected for a device that speaks no NETCONF we know."""
        try:
            async with asyncio.timeout(HELLO_S):
                await self._link.send(self._writer, framed(hello(), chunked=False), None)
                said = await self._message()
        except (TimeoutError, asyncssh.Error, OSError, FramingError, EOFError) as failure:
            raise self._lost(failure, "its NETCONF subsystem") from failure
        self.capabilities, self.session_id = read_hello(said)
        if BASE_1_1 in self.capabilities:
            self._unframer.chunked = True
        elif BASE_1_0 not in self.capabilities:
            raise Rejected(f"device at {self.address} speaks no version of NETCONF that this driver speaks")

    async def ask(
        self,
        request: etree._Element,
        read: Callable[[Reply], T],
        *,
        timeout_s: float = ANSWER_S,
        send_before: float | None = None,
    ) -> T:
        """Send one request and answer what `read` makes of its reply; in a thread where the reply is long.

        With `send_before` (an instant of `time.monotonic()`) no byte leaves after it, and NotSent is raised when none
        left at all. Raises Unreachable when there is no answer; the session is then over.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(timeout_s):
                    self._number += 1
                    await self._send(rpc(self._number, request), send_before)
                    said = await self._message()
            except NotSent:
                self.close()
                raise
            except (TimeoutError, asyncssh.Error, OSError, FramingError, EOFError) as failure:
                raise self._lost(failure) from failure
            except BaseException:
                self.close()  # cancelled in the middle: the next reply would be taken for another request's
                raise
            if len(said) <= PARSED_INLINE:
                return self._reading(said, read, send_before is not None)
            return await asyncio.to_thread(self._reading, said, read, send_before is not None)

    def close(self) -> None:
        """Ends the session and its SSH connection at once; its locks on the device go with it."""
        self._broken = True
        self._link.close()

    def _reading(self, said: bytes, read: Callable[[Reply], T], wrote: bool) -> T:
        """What cannot be read is no answer to a write: nobody knows what became of it."""
        try:
            reply = Reply(said)
        except Rejected as fault:
            self._broken = True
            if wrote:
                raise Unreachable(f"device at {self.address}: {fault.message}", address=self.address) from fault
            raise
        number = reply.root.get("message-id")
        if number is not None and number != str(self._number):
            self._broken = True
            raise Unreachable(f"device at {self.address} answered another request than the one it was sent")
        return read(reply)

    async def _send(self, message: bytes, send_before: float | None) -> None:
        if self.closed:
            failure = Unreachable(f"device at {self.address}: its connection has ended", address=self.address)
            raise NotSent(failure) if send_before is not None else failure
        await self._link.send(self._writer, framed(message, chunked=self._unframer.chunked), send_before)

    async def _message(self) -> bytes:
        while (message := self._unframer.next()) is None:
            data = await self._reader.read(_READ)
            if not data:
                raise EOFError
            self._unframer.feed(data)
        return message

    def _lost(self, failure: BaseException, what: str = "it") -> Unreachable:
        self.close()
        match failure:
            case TimeoutError():
                reason = f"{what} did not answer in time"
            case FramingError():
                reason = f"{what} breaks the rules of NETCONF framing: {failure}"
            case asyncssh.ChannelOpenError():
                reason = f"{what} is not there"
            case _:
                reason = f"{what} ended the session"
        return Unreachable(f"device at {self.address}: {reason}", address=self.address)


async def open_session(credentials: Credentials) -> NetconfSession:
    """Connect, log in, exchange hellos. Raises Unreachable, UntrustedDevice, or Rejected for a wrong password."""
    link = await open_ssh(credentials, default_port=NETCONF_PORT)
    try:
        try:
            async with asyncio.timeout(HELLO_S):
                writer, reader, _ = await link.connection.open_session(subsystem="netconf", encoding=None)
        except (asyncssh.Error, OSError, TimeoutError) as failure:
            said = f": {failure.reason}" if isinstance(failure, asyncssh.Error) else ""
            raise Unreachable(
                f"device at {link.address}: it opened no NETCONF session{said}", address=link.address
            ) from failure
        session = NetconfSession(link, writer, reader)
        await session.begin()
    except BaseException:
        link.close()
        raise
    return session
