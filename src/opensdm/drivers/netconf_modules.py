"""Which YANG modules a device has, what identifies that set, and their texts."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from lxml import etree

from opensdm.core.errors import Rejected
from opensdm.drivers.netconf_session import NetconfSession
from opensdm.drivers.netconf_xml import BASE, MONITORING, Reply, element, get, text
from opensdm.drivers.yang import YangModule

LIBRARY = "urn:ietf:params:xml:ns:yang:ietf-yang-library"
SYSTEM = "urn:ietf:params:xml:ns:yang:ietf-system"
OPENCONFIG_SYSTEM = "http://openconfig.net/yang/system"
MAX_MODULES = 4000
MAX_TEXT = 8 * 1024 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,127}")
_REVISION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_USES = re.compile(r"""^\s*(?:import|include)\s+["']?([A-Za-z_][A-Za-z0-9._-]*)["']?\s*[;{]""", re.MULTILINE)
_HOST_NAMES = ("hostname", "host-name")


@dataclass(frozen=True, slots=True)
class Advertised:
    """One module a device says it has. `deviations`: the modules in which it says how it differs from this one."""

    name: str
    revision: str
    features: frozenset[str]
    deviations: frozenset[str]
    implemented: bool = True


def of_hello(capabilities: Iterable[str]) -> tuple[Advertised, ...]:
    """The modules named among a device's capabilities."""
    found = []
    for uri in capabilities:
        said = parse_qs(uri.partition("?")[2])
        name = said.get("module", [""])[0]
        if _NAME.fullmatch(name):
            found.append(
                Advertised(name, _revision(said.get("revision", [""])[0]), _listed(said, "features"),
                           _listed(said, "deviations"))
            )  # fmt: skip
    return tuple(dict.fromkeys(found))


def software_version(capabilities: Sequence[str], said: str) -> str:
    """What the device calls its software, if anything, and a short hash of its modules with all that shapes them."""
    modules = sorted(uri for uri in capabilities if "module=" in uri)
    # Newer devices name their modules in the library only, and identify its content here.
    modules = modules or sorted(uri for uri in capabilities if ":yang-library:" in uri) or sorted(capabilities)
    digest = f"modules {hashlib.sha256(chr(10).join(modules).encode()).hexdigest()[:10]}"
    return f"{said} ({digest})" if said else digest


async def advertised(session: NetconfSession) -> tuple[Advertised, ...]:
    """As its YANG library lists them, which tells what is only imported; else as its hello does."""
    greeted = of_hello(session.capabilities)
    if not any(":yang-library:" in uri or f"{LIBRARY}?" in uri for uri in session.capabilities):
        return greeted
    filters = [element(f"{{{LIBRARY}}}{name}") for name in ("modules-state", "yang-library")]
    return await session.ask(get(filters), lambda reply: _of_library(reply)) or greeted


def _of_library(reply: Reply) -> tuple[Advertised, ...]:
    found = []
    for node in reply.data.iter(f"{{{LIBRARY}}}module", f"{{{LIBRARY}}}import-only-module"):
        name = node.findtext(f"{{{LIBRARY}}}name", "").strip()
        imported = node.findtext(f"{{{LIBRARY}}}conformance-type", "").strip() == "import"
        if _NAME.fullmatch(name):
            found.append(
                Advertised(
                    name,
                    _revision(node.findtext(f"{{{LIBRARY}}}revision", "").strip()),
                    frozenset(text(each) for each in node.iterfind(f"{{{LIBRARY}}}feature")),
                    _deviations(node),
                    not imported and not str(node.tag).endswith("import-only-module"),
                )
            )
    return tuple(dict.fromkeys(found))


def _deviations(node: etree._Element) -> frozenset[str]:
    """RFC 7895 has them with a name and a revision, RFC 8525 as bare names."""
    found = [each.findtext(f"{{{LIBRARY}}}name", "") or text(each) for each in node.iterfind(f"{{{LIBRARY}}}deviation")]
    return frozenset(name.strip() for name in found if _NAME.fullmatch(name.strip()))


class Texts:
    """Fetches modules from the device, else from a folder on the server."""

    def __init__(self, session: NetconfSession, folder: str | None) -> None:
        self._session = session
        self._folder = Path(folder) if folder else None

    async def of(self, modules: Sequence[Advertised]) -> list[YangModule]:
        """The given modules with all they import or include; what nobody has is left out.

        Raises Rejected when there is none at all.
        """
        if len(modules) > MAX_MODULES:
            raise Rejected(f"the device says it has {len(modules)} YANG modules; {MAX_MODULES} are read at most")
        found: dict[tuple[str, str], YangModule] = {}
        for each in modules:
            for name in (each.name, *each.deviations):
                await self._add(found, name, each.revision if name == each.name else "", each)
        waiting = [m.text for m in found.values()]
        while waiting:
            for name in _USES.findall(waiting.pop()):
                if not any(known == name for known, _ in found):
                    waiting += await self._add(found, name, "", None)
        texts = [m for m in found.values() if m.text]
        if not texts:
            raise Rejected(
                "the device gives none of its YANG modules (get-schema); put them into a folder on the server and "
                "name it in the device parameter yang.path"
            )
        return texts

    async def _add(
        self, found: dict[tuple[str, str], YangModule], name: str, revision: str, said: Advertised | None
    ) -> list[str]:
        if (name, revision) in found or len(found) > MAX_MODULES:
            return []
        module = await self._fetch(name, revision) or await asyncio.to_thread(self._from_folder, name, revision) or ""
        own = said is not None and said.name == name
        features = said.features if own and said is not None else None
        # A deviating module is there for what it says of others; what is only imported has types only.
        implemented = said is not None and (said.implemented or not own)
        found[name, revision] = YangModule(name, revision, module, implemented, features)
        return [module]

    async def _fetch(self, name: str, revision: str) -> str | None:
        if not any(uri.startswith(MONITORING) for uri in self._session.capabilities):
            return None
        request = element(f"{{{MONITORING}}}get-schema")
        element(f"{{{MONITORING}}}identifier", request).text = name
        if revision:
            element(f"{{{MONITORING}}}version", request).text = revision
        element(f"{{{MONITORING}}}format", request).text = "yang"
        return await self._session.ask(request, _schema_text)

    def _from_folder(self, name: str, revision: str) -> str | None:
        """`name@revision.yang`, the newest revision where none is asked for, or `name.yang`."""
        if self._folder is None:
            return None
        dated = sorted(self._folder.glob(f"{name}@{revision or '*'}.yang"), reverse=True)
        for path in (*dated, self._folder / f"{name}.yang"):
            if path.is_file() and path.stat().st_size <= MAX_TEXT:
                return path.read_text(encoding="utf-8", errors="replace")
        return None


def _schema_text(reply: Reply) -> str | None:
    if reply.errors:
        return None
    said = reply.root.findtext(f"{{{MONITORING}}}data")
    return said.strip() if said and len(said) <= MAX_TEXT else None


# ---------------------------------------------------------------------------------------------- who it is


def identity_request() -> etree._Element:
    """Asks what a device says of itself: its platform, and its name wherever a container `system` holds one.

    Written as text: in no name space a filter fits any, and lxml would leave `xmlns=""` out.
    """
    wanted = [f'<system-state xmlns="{SYSTEM}"><platform/></system-state>']
    wanted += [f'<system xmlns=""><{name}/></system>' for name in _HOST_NAMES]
    wanted.append(f'<system xmlns="{OPENCONFIG_SYSTEM}"><config><hostname/></config></system>')
    return etree.fromstring(f'<get xmlns="{BASE}"><filter type="subtree">{"".join(wanted)}</filter></get>')


def read_identity(reply: Reply) -> Mapping[str, str]:
    """`name` and `software`, where the device says anything."""
    said: dict[str, str] = {}
    for node in reply.data.iter(etree.Element):
        local, parent = etree.QName(node).localname, node.getparent()
        if local in _HOST_NAMES and text(node) and parent is not None and parent.tag != f"{{{BASE}}}data":
            said.setdefault("name", text(node))
    platform = reply.data.find(f"{{{SYSTEM}}}system-state/{{{SYSTEM}}}platform")
    if platform is not None:
        parts = [platform.findtext(f"{{{SYSTEM}}}{name}", "").strip() for name in ("os-name", "os-version")]
        said["software"] = " ".join(part for part in parts if part)[:120]
    return said


def _revision(said: str) -> str:
    return said if _REVISION.fullmatch(said) else ""


def _listed(said: Mapping[str, list[str]], name: str) -> frozenset[str]:
    return frozenset(part for part in said.get(name, [""])[0].split(",") if _NAME.fullmatch(part))
