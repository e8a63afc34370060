"""Writes the pages that follow from the source: operations, errors, settings. A test keeps them up to date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import opensdm.doors.rest.app
import opensdm.doors.soap.app  # noqa: F401 (likewise)
from opensdm.core.errors import SdmError
from opensdm.core.identity import DEFAULT_RIGHTS, granted
from opensdm.core.operations import REGISTRY, Claim, Kind, Operation, Rule, Scope
from opensdm.doors.errors import INTERNAL_ERROR, Row, row
from opensdm.settings import FILE_NAME, PREFIX, Settings

HERE = Path(__file__).parent
NOTE = "<!-- Written by `make docs` from the source; changes here are lost. -->"
NOTHING = "–"

KINDS = {
    Kind.PUBLIC: "Needs no session.",
    Kind.OBSERVE: "Looks at what the server knows. Allowed under a foreign lock.",
    Kind.LOCK: "Takes, frees or takes away locks: decided by the rules of the lock alone.",
    Kind.TOUCH: "Asks the device itself. Refused under a foreign lock.",
    Kind.CHANGE: "Changes something. Refused under a foreign lock on any device it is about.",
    Kind.MACHINERY: "The server's own work, which nobody can ask for.",
}
TARGETS = {
    Scope.SERVER: NOTHING,
    Scope.DEVICE: "device",
    Scope.NETWORK_FUNCTION: "network function",
    Scope.FUNCTION_GROUP: "group of a network function",
    Scope.DEVICE_GROUP: "device group",
    Scope.DEVICES: "devices",
    Scope.HOST: "host that is not enrolled",
}
OPERATIONS = """
Every request at any door is one of these operations, and passes the one gate. The kind says what becomes of it under
another user's lock; what the lock promises is in [the device lock](lock.md).

- **Privilege**: the area, and the least level in it.
- **Target**: whose locks count; of a group or a network function those of all its devices.
- **Claim**: the mark that running work leaves on its devices. At most one exclusive claim is on a device, of any user.
  An operation without a claim is one transaction; some of these are refused beside a write, or beside any work.
- **\\***: writes to the device, now or with the next push; refused on devices that were enrolled read-only.
"""
PRIVILEGES = """
What the groups of a new installation may do. A level is never above that of the area it belongs to: `lock.override`
needs `lock`.
"""
ERRORS = """
One body at every door: `code`, `message`, `requestId`, facts, `blockers` where something stands in the way, and `next`:
one or two calls, ready to run, that help this caller. Programs go by the code. A new error has the statuses of the one
it stands below. Exit codes are those of the command line.
"""
AFTER_ERRORS = """
Over SOAP the fault is that of the interface asked, or where *Admin* stands an `AcmeAdminWSFault`.

Where two statuses stand, the second is that of the path of the device lock, which published its own. A push that began
answers 200 even when it fails: its result carries the code in `errorMessage`.
"""
SETTINGS = f"""
A setting comes from the command line, else from the environment, else from `{FILE_NAME}` in the data directory, else it
has its default. In the file `log.level` is `level` under `[log]`. Commands show the options they take with `--help`.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]


def page(title: str, *blocks: str | Sequence[str]) -> str:
    """A page of prose and tables."""
    parts = (block.strip() if isinstance(block, str) else "\n".join(block) for block in blocks)
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def first_sentence(described: type[Any]) -> str:
    return " ".join((described.__doc__ or "").split("\n\n")[0].split())


# --------------------------------------------------------------------------------- operations


def operations() -> str:
    head = ("operation", "privilege", "target", "claim", "audit tag")
    lists: list[str | Sequence[str]] = []
    for kind, meaning in KINDS.items():
        named = sorted(name for name, operation in REGISTRY.items() if operation.rule.kind is kind)
        lists += [f"## {kind.capitalize()}", meaning, table(head, (_operation(REGISTRY[name]) for name in named))]
    return page("Operations", OPERATIONS, *lists, "## Privileges", PRIVILEGES, _privileges())


def _operation(operation: type[Operation]) -> tuple[str, ...]:
    rule = operation.rule
    name = f"`{operation.__name__}`" + (r" \*" if rule.writes else "")
    privilege = NOTHING if rule.area is None else f"`{rule.area}` {rule.level.name.capitalize()}"
    return name, privilege, TARGETS[rule.scope], _claim(rule), f"`{rule.tag}`"


def _claim(rule: Rule) -> str:
    if rule.claim is not Claim.NONE:
        return rule.claim.value
    return "refused beside any work" if rule.alone else "refused beside a write" if rule.exclusive else NOTHING


def _privileges() -> list[str]:
    areas = sorted({area for rights in DEFAULT_RIGHTS.values() for area in rights})
    return table(
        ("area", *(f"`{group}`" for group in DEFAULT_RIGHTS)),
        (
            (f"`{area}`", *(granted(rights, area).name.capitalize() for rights in DEFAULT_RIGHTS.values()))
            for area in areas
        ),
    )


# ------------------------------------------------------------------------------------- errors


def errors() -> str:
    head = ("code", "error", "below", "v1.0–v1.3", "v1.4", "SOAP", "exit code", "Retry-After", "")
    words = "A bug of the server, which its log tells more about."
    bug = (f"`{INTERNAL_ERROR}`", NOTHING, NOTHING, "500", "500", "Server", "1", NOTHING, words)
    return page("Errors", ERRORS, table(head, [*map(_error, _tree(SdmError)), bug]), AFTER_ERRORS)


def _tree(error: type[SdmError]) -> list[type[SdmError]]:
    """An error and all below it, each right after what it stands below."""
    below = sorted(error.__subclasses__(), key=lambda cls: cls.__name__)
    known = [cls for cls in below if cls.__module__.startswith(("opensdm.core.", "opensdm.doors."))]
    return [error, *(found for cls in known for found in _tree(cls))]


def _error(error: type[SdmError]) -> tuple[str, ...]:
    answer, parent = row(error), error.__mro__[1]
    below = parent.__name__ if issubclass(parent, SdmError) else NOTHING
    published = str(answer.published.value)
    if answer.device_lock is not None:
        published += f", {answer.device_lock.value}"
    after = NOTHING if answer.retry_after_s is None else f"{answer.retry_after_s} s"
    return (
        f"`{error.code}`", error.__name__, below, published, str(answer.exact.value), _soap(answer),
        str(answer.exit_code), after, first_sentence(error),
    )  # fmt: skip


def _soap(answer: Row) -> str:
    """The fault code, and the fault where it is not that of the interface asked."""
    return ("Server" if answer.soap_server else "Client") + (", Admin" if answer.soap_admin else "")


# ----------------------------------------------------------------------------------- settings


def settings() -> str:
    plain = [(name, field) for name, field in Settings.model_fields.items() if _section(field) is None]
    blocks: list[str | Sequence[str]] = [_settings_table("", plain)]
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            blocks += [f"## {name}", first_sentence(section), _settings_table(name, section.model_fields.items())]
    return page("Settings", SETTINGS, *blocks)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _settings_table(section: str, members: Iterable[tuple[str, FieldInfo]]) -> list[str]:
    head = ("setting", "environment", "default", "values", "")
    rows = []
    for name, field in members:
        full = f"{section}.{name}" if section else name
        variable = PREFIX + full.replace(".", "_").upper()
        rows.append((f"`{full}`", f"`{variable}`", _default(field), _values(field), field.description or ""))
    return table(head, rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return NOTHING if field.default in (None, ()) else f"`{_worded(field.default)}`"


def _values(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    if field.annotation is bool:
        return "`true`, `false`"
    words = {"ge": "from {}", "gt": "above {}", "le": "up to {}", "pattern": "`{}`"}
    bounds = {n: getattr(rule, n) for rule in field.metadata for n in words if getattr(rule, n, None) is not None}
    return " ".join(words[n].format(_worded(bounds[n])) for n in words if n in bounds) or NOTHING


def _worded(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


PAGES = {"operations.md": operations, "errors.md": errors, "settings.md": settings}


def main() -> None:
    for name, write in PAGES.items():
        (HERE / name).write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
