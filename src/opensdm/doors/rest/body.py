"""Reading a request body: bounded in size and time, in a type that is read, whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import falcon.asgi

from opensdm.core.errors import MalformedBody
from opensdm.doors.errors import RequestTooSlow, UnsupportedMedia
from opensdm.doors.rest.media import OWN_VERSION, Medium, Unsupported, Version, request_medium, text_type
from opensdm.doors.rest.settings import RestSettings
from opensdm.doors.rest.shapes import Shape
from opensdm.doors.xml import BodyTooLarge, require_utf8


async def read_body(req: falcon.asgi.Request, settings: RestSettings) -> bytes:
    """The whole body. Raises BodyTooLarge, RequestTooSlow, MalformedBody for one that ends early."""
    announced = req.content_length
    if announced is not None and announced > settings.max_body_bytes:
        raise _too_large(settings)
    received = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in req.stream:
                received += chunk
                if len(received) > settings.max_body_bytes:
                    raise _too_large(settings)
    except TimeoutError:
        raise RequestTooSlow(f"the body did not arrive within {settings.body_timeout_s:g} s") from None
    if announced is not None and len(received) < announced:
        raise MalformedBody(f"the body has {len(received)} bytes, {announced} were announced")
    return bytes(received)


def body_text(req: falcon.asgi.Request, body: bytes, read: tuple[str, ...]) -> str | None:
    """A body in one of the types that are read besides XML and JSON; None for any other.

    Raises UnsupportedMedia, WrongCharset.
    """
    found = text_type(req.content_type, read)
    if found is None:
        return None
    _check_coding(req)
    if isinstance(found, Unsupported):
        raise UnsupportedMedia(found.message)
    require_utf8(body)
    return body.decode("utf-8-sig")


def _check_coding(req: falcon.asgi.Request) -> None:
    coding = req.get_header("Content-Encoding")
    if coding is not None and coding.strip().lower() not in ("", "identity"):
        raise UnsupportedMedia(f"the content coding {coding[:40]!r} is not read; send the body as it is")


def body_medium(req: falcon.asgi.Request, body: bytes, version: Version) -> Medium:
    """The type of a body that is there. Raises UnsupportedMedia.

    Published clients that leave `Content-Type` out are understood by the body's first character; ours say it.
    """
    _check_coding(req)
    declared = req.content_type
    if version >= OWN_VERSION and not (declared or "").strip():
        raise UnsupportedMedia("the request has a body but no Content-Type")
    found = request_medium(declared, version, body)
    if isinstance(found, Unsupported):
        raise UnsupportedMedia(found.message)
    return found


def read_values(
    shape: Shape, body: bytes, medium: Medium, version: Version, settings: RestSettings
) -> Mapping[str, Any]:
    """The fields of a body under their wire names. Raises MalformedBody, which shows the body to send."""
    return shape.read(body, medium, version=version, max_bytes=settings.max_body_bytes).values


def _too_large(settings: RestSettings) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body has more than {settings.max_body_bytes} bytes, which is the most that is read",
        maxBytes=settings.max_body_bytes,
    )
