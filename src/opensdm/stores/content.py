"""Configurations cut into chunks that are stored once, and manifests that say which chunks make a version.

Chunks hold consecutive elements of one type. Where one ends is told by the elements themselves, so that an element
added or removed changes the chunk it is in and leaves the others as they were.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from opensdm.core.element import Element

if TYPE_CHECKING:
    from opensdm.stores.secrets import SecretBox

LONGEST = 200
"""Elements of the longest chunk."""
_LAST_OF_CHUNK = 0
"""An element whose one-byte digest is this, one in 256, ends its chunk."""

Chunks = tuple[tuple[str, int], ...]
"""Digest and number of elements of each, in order."""
Manifest = tuple[tuple[str, Chunks], ...]
"""Type paths with their chunks, in device order; a path comes again where a device mixes its types."""

_canonical = msgspec.json.Encoder(order="deterministic")
_elements = msgspec.json.Decoder(tuple[Element, ...])
_manifest = msgspec.json.Decoder(Manifest)


def cut(secrets: SecretBox, elements: Iterable[Element]) -> Iterator[tuple[str, str, list[Element]]]:
    """Path, digest and elements of each chunk. The order of attributes makes no difference to a digest."""
    for path, run in groupby(elements, key=lambda element: element.path):
        held: list[Element] = []
        lines: list[bytes] = []
        for element in run:
            line = _canonical.encode(element)
            held.append(element)
            lines.append(line)
            if len(held) == LONGEST or secrets.digest(line, 1)[0] == _LAST_OF_CHUNK:
                yield path, secrets.digest(b"\n".join(lines)).hex(), held
                held, lines = [], []
        if held:
            yield path, secrets.digest(b"\n".join(lines)).hex(), held


def sealed(secrets: SecretBox, elements: Sequence[Element]) -> bytes:
    return secrets.seal(zlib.compress(msgspec.json.encode(elements)))


def opened(secrets: SecretBox, body: bytes) -> tuple[Element, ...]:
    return _elements.decode(zlib.decompress(secrets.open(body)))


def written(manifest: Manifest) -> str:
    return msgspec.json.encode(manifest).decode()


def read(text: str) -> Manifest:
    return _manifest.decode(text)


def gathered(chunks: Iterable[tuple[str, str, int]]) -> Manifest:
    """A manifest of path, digest and count of each chunk in order."""
    return tuple(
        (path, tuple((digest, count) for _, digest, count in run))
        for path, run in groupby(chunks, key=lambda chunk: chunk[0])
    )


def by_path(manifest: Manifest) -> dict[str, Chunks]:
    found: dict[str, Chunks] = {}
    for path, chunks in manifest:
        found[path] = found.get(path, ()) + chunks
    return found


def replaced(old: Manifest, new: Manifest, paths: Sequence[str]) -> Manifest:
    """`old` with the types of `paths` as in `new`, each at its place; types that are new come last."""
    fresh = {path: chunks for path, chunks in by_path(new).items() if path in paths}
    kept: list[tuple[str, Chunks]] = []
    for path, chunks in old:
        if path not in paths:
            kept.append((path, chunks))
        elif path in fresh:
            kept.append((path, fresh.pop(path)))
    return (*kept, *fresh.items())


def only(manifest: Manifest, paths: Sequence[str] | None) -> Manifest:
    return manifest if paths is None else tuple(entry for entry in manifest if entry[0] in paths)


def digests(manifest: Manifest) -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(digest for _, chunks in manifest for digest, _ in chunks))


def count(manifest: Manifest) -> int:
    return sum(number for _, chunks in manifest for _, number in chunks)


def version_digest(secrets: SecretBox, manifest: Manifest) -> str:
    """Equal for equal content. In which order the types come does not matter: a partial read does not tell it."""
    plain = [(path, [digest for digest, _ in chunks]) for path, chunks in sorted(by_path(manifest).items())]
    return secrets.digest(msgspec.json.encode(plain)).hex()


def differing(one: Manifest, other: Manifest) -> tuple[str, ...]:
    """The paths of which two manifests hold different chunks."""
    ours, theirs = by_path(one), by_path(other)
    return tuple(path for path in {**ours, **theirs} if ours.get(path) != theirs.get(path))
