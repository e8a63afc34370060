"""What can be set about the REST door."""

from __future__ import annotations

from dataclasses import dataclass

from opensdm.doors.rest.shapes import MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class RestSettings:
    """One door's settings.

    `lists`: "flat" or "nested" list form of replies; both are always read. `public_url`: the base of the server as
    clients reach it, for the calls that errors show; None: as the client itself reached us. `cookie_secure`: None
    follows the scheme of the request. `body_timeout_s`: how long a whole body may take to arrive.
    `heartbeat_s`: how long a stream of events may be silent before a comment keeps its connection open.
    `streams_per_session` and `streams`: how many streams of events one session may follow, and all together.
    """

    lists: str = "flat"
    max_body_bytes: int = MAX_BODY_BYTES
    public_url: str | None = None
    cookie_secure: bool | None = None
    body_timeout_s: float = 30.0
    heartbeat_s: float = 10.0
    streams_per_session: int = 16
    streams: int = 1000

    def __post_init__(self) -> None:
        if self.lists not in ("flat", "nested"):
            raise ValueError(f"lists is 'flat' or 'nested', not {self.lists!r}")
        if self.max_body_bytes < 1024:
            raise ValueError("max_body_bytes is at least 1024: smaller bodies would shut out logins")
