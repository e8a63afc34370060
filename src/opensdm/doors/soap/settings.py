"""What can be set about the SOAP door."""

from __future__ import annotations

from dataclasses import dataclass, field

from opensdm.doors.soap.names import Names


@dataclass(frozen=True, slots=True)
class SoapSettings:
    """One door's settings; those of bodies and URLs are the REST door's, since it is the same port.

    `cookie_secure`: None follows the scheme of the request. The last three are what published calls ask about the
    server: seconds between polls, and idle seconds after which sessions end, 0 for never.
    """

    names: Names = field(default_factory=Names)
    max_body_bytes: int = 1_048_576
    public_url: str | None = None
    cookie_secure: bool | None = None
    body_timeout_s: float = 30.0
    poll_interval_s: float = 60.0
    admin_idle_s: int = 0
    user_idle_s: int = 1800
