"""The log: events with fields, on standard error, and never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

_SECRET = ("password", "passwd", "secret", "token", "cookie", "authorization", "credential", "private_key")
_MASK = "***"
_DEEP = 4
"""How far down a field is searched; what lies deeper is left out."""
_NOISY = ("uvicorn", "uvicorn.error", "asyncio", "alembic", "sqlalchemy", "httpx2", "httpcore2", "asyncssh")
"""Libraries whose own words start at warnings."""


def configure_logs(level: str, form: str) -> None:
    """Send structlog and the standard library's loggers to standard error. `form`: `json`, `console` or `auto`."""
    if form == "auto":
        form = "console" if sys.stderr.isatty() else "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, without_secrets]
    if form == "json":
        # Without local variables: they hold passwords.
        plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        last += [structlog.processors.ExceptionRenderer(plain), structlog.processors.JSONRenderer(default=str)]
    else:
        shown = structlog.dev.plain_traceback
        last.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=shown))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def without_secrets(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask every field that is named like a secret, at any depth."""
    return {name: _masked(name, value, _DEEP) for name, value in event.items()}


def _masked(name: str, value: Any, depth: int) -> Any:
    if any(part in name.lower() for part in _SECRET):
        return _MASK
    if isinstance(value, Mapping):
        return {str(key): _masked(str(key), each, depth - 1) for key, each in value.items()} if depth else "..."
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", each, depth - 1) for each in value] if depth else "..."
    return value
