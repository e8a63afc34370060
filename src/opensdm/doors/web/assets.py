"""Static files: read once, served under a path that names their contents, so that browsers keep them for ever."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

BASE = "/web/static/"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and compressed."""

    media_type: str
    data: bytes
    packed: bytes


@cache
def assets() -> dict[str, Asset]:
    """Every file by its name below `static`."""
    found: dict[str, Asset] = {}
    _collect(files("opensdm.doors.web") / "static", "", found)
    return found


@cache
def stamp() -> str:
    """A digest of all static files: one that changes gives every file a new address, also those it refers to."""
    digest = sha256()
    for name, asset in sorted(assets().items()):
        digest.update(f"{name}\0{len(asset.data)}\0".encode() + asset.data)
    return digest.hexdigest()[:16]


def url(name: str) -> str:
    """Where a file is served. Raises KeyError for one that is not there: a template must not name it."""
    assets()[name]
    return f"{BASE}{stamp()}/{name}"


def _collect(folder: Traversable, prefix: str, found: dict[str, Asset]) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            _collect(entry, f"{prefix}{entry.name}/", found)
            continue
        media_type = _TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None:
            data = entry.read_bytes()
            found[prefix + entry.name] = Asset(media_type, data, gzip.compress(data, mtime=0))
