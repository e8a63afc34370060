"""JSON bodies, read strictly: UTF-8, no duplicate keys, no NaN, bounded depth and size; and written compactly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from opensdm.core.errors import MalformedBody
from opensdm.doors.xml import position, require_utf8, too_large

# A string, closed or not, or a structural character: every match moves on, so the scan is linear on any input.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[\[\]{},]', re.DOTALL)

_LONG_LIST = 200


class Literal(str):
    """A JSON number that is no integer, as it was written: `1.10` stays `1.10`."""

    __slots__ = ()


def parse(body: bytes, *, max_bytes: int, max_depth: int = 64, max_nodes: int = 50_000) -> Any:
    """Read one JSON text. Raises MalformedBody with `line` and `column` where known, WrongCharset, BodyTooLarge.

    `max_nodes` counts list items and members. Numbers with a fraction or exponent come out as `Literal`.
    """
    if len(body) > max_bytes:
        raise too_large(len(body), max_bytes)
    require_utf8(body)
    openings = body.count(b"[") + body.count(b"{")
    if openings > max_depth or body.count(b",") + openings > max_nodes:
        _survey(body, max_depth, max_nodes)
    text = body.decode("utf-8-sig")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedBody(
            f"the body is not valid JSON at line {error.lineno}, column {error.colno}: {error.msg.partition(':')[0]}",
            line=error.lineno,
            column=error.colno,
        ) from None
    except ValueError:
        # Python refuses to convert integers of thousands of digits; the decoder does not say where.
        raise MalformedBody("the JSON holds a number that is too long") from None


def serialize(value: Any) -> bytes:
    """One JSON text, UTF-8, without spaces. Lone surrogates, which UTF-8 cannot carry, come out as `?`."""
    return "".join(_pieces(value)).encode("utf-8", "replace")


def _pieces(value: Any) -> Iterator[str]:
    """Long lists member by member: the encoder lets no other thread run until it is through."""
    if isinstance(value, dict) and value:
        for number, (name, inner) in enumerate(value.items()):
            yield f"{',' if number else '{'}{_ENCODER.encode(name)}:"
            yield from _pieces(inner)
        yield "}"
    elif isinstance(value, list) and len(value) > _LONG_LIST:
        for number, inner in enumerate(value):
            yield ("," if number else "[") + _ENCODER.encode(inner)
        yield "]"
    else:
        yield _ENCODER.encode(value)


def _survey(body: bytes, max_depth: int, max_nodes: int) -> None:
    depth = nodes = 0
    for match in _TOKEN.finditer(body):
        token = match.group()
        if token in (b"]", b"}"):
            depth -= 1
        elif token in (b"[", b"{", b","):
            nodes += 1
            depth += token != b","
            if depth > max_depth or nodes > max_nodes:
                line, column = position(body, match.start())
                what = f"nested deeper than {max_depth}" if depth > max_depth else f"more than {max_nodes} values"
                raise MalformedBody(f"the JSON is too much to read: {what}", line=line, column=column)


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedBody(f"the key {key[:100]!r} is given twice", field=key[:100])
            seen.add(key)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedBody(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates, parse_float=Literal, parse_constant=_refuse_constant
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
