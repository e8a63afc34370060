"""Where the SOAP door lives and what its namespaces are called: one place, which an operator's file can override.

The vendor's own namespaces and paths were never published. Whoever owns a WSDL of theirs writes what it says into a
TOML file:

    [namespaces]
    AdminMgmtIF = "http://..."    # also DeviceMgmtIF, ConfigMgmtIF, userobjects, fault

    [paths]
    base = "/ACMEWS/services"
    AdminMgmtIF = "AdminMgmtIF"   # also DeviceMgmtIF, ConfigMgmtIF; below the base
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opensdm.core.errors import InvalidRequest

SERVICES = ("AdminMgmtIF", "DeviceMgmtIF", "ConfigMgmtIF")
DATA, FAULTS = "userobjects", "fault"
BASE = "/ACMEWS/services"

_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+", re.ASCII)
_STEPS = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*", re.ASCII)
_NAMESPACE = re.compile(r"[^\s<>\"'&]{1,300}")


@dataclass(frozen=True, slots=True)
class Names:
    """`namespaces`: those that differ from the ones in our files, by schema. `paths`: of each service, below `base`."""

    base: str = BASE
    namespaces: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=lambda: {name: name for name in SERVICES})

    def path(self, service: str) -> str:
        return f"{self.base}/{self.paths[service]}"

    @property
    def context(self) -> str:
        """The first step of the base: what the session's cookie is sent with."""
        return "/" + self.base.strip("/").partition("/")[0]


def load_names(file: Path | None) -> Names:
    """Our names, with those of a file in their place. Raises InvalidRequest that says what is wrong with the file."""
    if file is None:
        return Names()
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(f"soap.names: {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidRequest(f"soap.names: {file} is not TOML: {error}") from error
    if odd := given.keys() - {"namespaces", "paths"}:
        raise InvalidRequest(f"soap.names: {file}: there is no section {', '.join(sorted(odd))}")
    namespaces = _texts(given, "namespaces", {*SERVICES, DATA, FAULTS}, _NAMESPACE, file)
    paths = _texts(given, "paths", {*SERVICES, "base"}, None, file)
    base = paths.pop("base", BASE).rstrip("/")
    if not _PATH.fullmatch(base) or f"{base}/".startswith("/rest/"):
        raise InvalidRequest(f"soap.names: {file}: paths.base is a path such as {BASE}, and not below /rest")
    if not all(_STEPS.fullmatch(path) for path in paths.values()):
        raise InvalidRequest(f"soap.names: {file}: the path of a service stands below the base, without a slash before")
    return Names(base, namespaces, {name: paths.get(name, name) for name in SERVICES})


def _texts(
    given: Mapping[str, Any], section: str, known: set[str], fits: re.Pattern[str] | None, file: Path
) -> dict[str, str]:
    found = given.get(section, {})
    if not isinstance(found, dict) or found.keys() - known:
        names = ", ".join(sorted(known))
        raise InvalidRequest(f"soap.names: {file}: {section} may hold {names}, and nothing else")
    for name, value in found.items():
        if not isinstance(value, str) or (fits is not None and not fits.fullmatch(value)):
            raise InvalidRequest(f"soap.names: {file}: {section}.{name} is no such name")
    return dict(found)
