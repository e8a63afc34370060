"""What operations do: one plain async function for each, behind the gate, without SQL, sockets or doors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from opensdm.core.operations import REGISTRY, Operation
from opensdm.core.ports import Work

Handler = Callable[[Any, Work], Awaitable[Any]]

MODULES = (
    "audit", "batches", "browsing", "bulk", "changes", "configuration", "devices", "element_types", "elements",
    "functions", "inventory", "locks", "probe", "push", "restoring", "sessions", "sync", "tasks", "users", "versions",
)  # fmt: skip


def collected(modules: Mapping[str, ModuleType]) -> dict[type[Operation], Handler]:
    """The `HANDLERS_HERE` of all modules as one; TypeError unless every operation has exactly one handler."""
    handlers: dict[type[Operation], Handler] = {}
    for name, module in modules.items():
        for operation, handler in module.HANDLERS_HERE.items():
            if operation in handlers:
                raise TypeError(f"{operation.__name__} has a second handler in handlers/{name}.py")
            handlers[operation] = handler
    if missing := sorted(name for name, operation in REGISTRY.items() if operation not in handlers):
        raise TypeError(f"operations without a handler: {', '.join(missing)}")
    return handlers


HANDLERS = collected({name: import_module(f"opensdm.handlers.{name}") for name in MODULES})
