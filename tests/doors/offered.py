"""What each door offers, read from its source: the operations that it makes, and their fields that it fills."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import opensdm
from opensdm.cli import locks
from opensdm.core.operations import REGISTRY, Kind, LockDevice
from opensdm.doors.rest.app import ENDPOINTS
from opensdm.doors.rest.media import OWN_VERSION

SOURCE = Path(opensdm.__file__).parent
TARGETS = {"device_id", "device_ids", "nf_id", "group_id"}
TAKING = {f.name for f in fields(LockDevice)} - TARGETS - {"epoch"}

LOCK_COMMANDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "take": ("LockDevice", {"reason": "reason", "wait": "wait_s"}),
    "release": ("UnlockDevice", {"epoch": "epoch"}),
    "ask": ("AskForLock", {"message": "message"}),
    "check": ("CheckLock", {}),
    "override": (
        "OverrideLock",
        {
            "reason": "reason", "holder": "expected_holder", "epoch": "expected_epoch", "graceful": "mode",
            "transfer": "transfer",
        },
    ),
    "confirm": ("ConfirmDevice", {"note": "note"}),
    "list-locks": ("ListLocks", {"holder": "holder"}),
    "verify": ("VerifyLocks", {}),
}  # fmt: skip
"""What each command of `opensdm lock` sends, and which of its options is which field."""
_WHO_AND_WHERE = {"device", "user", "url", "ca", "data", "database", "json"}


def sendable() -> set[str]:
    """What anybody can ask for."""
    return {name for name, operation in REGISTRY.items() if operation.rule.kind is not Kind.MACHINERY}


def operations(kind: str) -> set[str]:
    if kind == "cli":
        return {name for tree in _trees("cli") for name in _quoted(tree)} | {n for n, _ in LOCK_COMMANDS.values()} | {
            "Login", "Logout"
        }  # fmt: skip
    if kind == "rest-published":
        answers = (endpoint.answer for endpoint in ENDPOINTS if endpoint.since < OWN_VERSION)
        return {name for answer in answers for name in _named(_tree(answer))}
    return {name for tree in _trees(f"doors/{kind.partition('-')[0]}") for name in _named(tree)}


def filled(kind: str) -> set[tuple[str, str]]:
    """Of operations on locks that the door offers: with every field that it fills."""
    if kind == "cli":
        return {(name, field) for name, options in LOCK_COMMANDS.values() for field in options.values()}
    if kind == "rest-published":
        return {(name, field) for name, field in _published_fields() if name in operations(kind)}
    found = {pair for tree in _trees(f"doors/{kind.partition('-')[0]}") for pair in _keywords(tree)}
    if kind == "rest-own":
        found |= {(name, "epoch") for name in operations(kind)}
    return {(name, field) for name, field in found if field not in TARGETS}


def command_options() -> dict[str, set[str]]:
    """Of every command of `opensdm lock`, the options that say more than who, where and which device."""
    found = {}
    for command in locks.app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__.replace("_", "-")
        found[name] = {*inspect.signature(command.callback).parameters} - _WHO_AND_WHERE
    return found


def about_locks(name: str) -> bool:
    rule = REGISTRY[name].rule
    return rule.kind is Kind.LOCK or name == "CheckLock"


def fields_of(name: str) -> set[str]:
    return {f.name for f in fields(REGISTRY[name])} - TARGETS


# ---------------------------------------------------------------------------------------- the source


@cache
def _trees(folder: str) -> tuple[ast.Module, ...]:
    return tuple(ast.parse(file.read_text()) for file in sorted((SOURCE / folder).rglob("*.py")))


def _tree(answer: Any) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(answer)))


def _named(tree: ast.AST) -> Iterator[str]:
    return (n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in REGISTRY)


def _quoted(tree: ast.AST) -> Iterator[str]:
    """The command line names operations as text."""
    return (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value in REGISTRY)


def _keywords(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What is always the same, no caller can say."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in REGISTRY:
            for keyword in call.keywords:
                if isinstance(keyword.value, ast.Constant):
                    continue
                yield from ((call.func.id, name) for name in ([keyword.arg] if keyword.arg else TAKING))


def _published_fields() -> Iterator[tuple[str, str]]:
    """Bodies of the published versions: what is ours in them is read from v1.4 on."""
    wire = {"reason", "waitSeconds", "leaseSeconds", "scope", "epoch"}
    for endpoint in ENDPOINTS:
        if endpoint.since < OWN_VERSION and endpoint.body is not None:
            read = {field.name for field in endpoint.body.fields if not field.own}
            for name in _named(_tree(endpoint.answer)):
                if about_locks(name):
                    yield from ((name, field) for field in read & wire)
