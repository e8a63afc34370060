"""What a request body is: in a type that is read, whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon.asgi

from opensdm.core.errors import MalformedBody
from opensdm.doors.errors import UnsupportedMedia
from opensdm.doors.http import check_coding
from opensdm.doors.rest.media import OWN_VERSION, Medium, Unsupported, Version, request_medium, text_type
from opensdm.doors.rest.settings import RestSettings
from opensdm.doors.rest.shapes import Shape
from opensdm.doors.xml import is_carriable, require_utf8


def body_text(req: falcon.asgi.Request, body: bytes, read: tuple[str, ...]) -> str | None:
    """A body in one of the types that are read besides XML and JSON; None for any other.

    Raises UnsupportedMedia, WrongCharset, MalformedBody for control characters.
    """
    found = text_type(req.content_type, read)
    if found is None:
        return None
    check_coding(req)
    if isinstance(found, Unsupported):
        raise UnsupportedMedia(found.message)
    require_utf8(body)
    text = body.decode("utf-8-sig")
    if not is_carriable(text):
        line = next(n for n, each in enumerate(text.split("\n"), start=1) if not is_carriable(each))
        raise MalformedBody(f"the body holds control characters at line {line}", line=line)
    return text


def body_medium(req: falcon.asgi.Request, body: bytes, version: Version) -> Medium:
    """The type of a body that is there. Raises UnsupportedMedia.

    Published clients that leave `Content-Type` out are understood by the body's first character; ours say it.
    """
    check_coding(req)
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
