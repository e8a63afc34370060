"""What can be set about the web GUI door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebSettings:
    """One door's settings.

    `public_url`: the base of the server as browsers reach it; None: as the browser itself reached us.
    `cookie_secure`: None follows the scheme of the request. `max_body_bytes`, `body_timeout_s`: of a form.
    `heartbeat_s`: how long a stream of events may be silent before a comment keeps its connection open.
    `streams_per_session`: open pages of one session that are kept true at a time; `streams`: of all sessions.
    `banner`: what is shown before sign-in, plain text; "" for nothing.
    """

    public_url: str | None = None
    cookie_secure: bool | None = None
    max_body_bytes: int = 1_048_576
    body_timeout_s: float = 30.0
    heartbeat_s: float = 10.0
    streams_per_session: int = 64
    streams: int = 2000
    banner: str = ""
