"""Options that several commands share, and the settings they make."""

from __future__ import annotations

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opensdm.cli.failures import USAGE, CommandFailed

if TYPE_CHECKING:
    from opensdm.settings import Settings

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Data directory (or OPENSDM_DATA).", show_default=False)
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="postgresql://... (or OPENSDM_DATABASE); without it the one named at init, else the embedded one.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(**given: Any) -> Settings:
    """The settings of one command; a wrong one is wrong usage."""
    from opensdm.core.errors import InvalidRequest
    from opensdm.settings import load_settings

    try:
        return load_settings(**given)
    except InvalidRequest as error:
        raise CommandFailed(error.message, USAGE) from error


def quiet_logs() -> None:
    """The log of commands that end at once: only what needs somebody's attention."""
    from opensdm.logs import configure_logs

    configure_logs(os.environ.get("OPENSDM_LOG_LEVEL", "warning").lower(), "console")


def new_password(user_name: str) -> str:
    """The password in OPENSDM_PASSWORD, else typed twice; never an argument, which every account can read."""
    given = os.environ.get("OPENSDM_PASSWORD")
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise CommandFailed("give the password in OPENSDM_PASSWORD, or run this on a terminal to type it", USAGE)
    first = getpass(f"Password for {user_name}: ")
    if getpass("The same once more: ") != first:
        raise CommandFailed("the two passwords differ; nothing was changed")
    return first
