"""The commands, and the groups of commands, of `opensdm`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from opensdm.cli import devices, inventory, locks, simulate, trail, users
from opensdm.cli.options import Data, Database, quiet_logs, settings

app = typer.Typer(
    name="opensdm",
    help="An open session delivery manager.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(users.app, name="user")
app.add_typer(devices.app, name="device")
app.add_typer(inventory.app, name="inventory")
app.add_typer(locks.app, name="lock")
app.add_typer(simulate.app, name="simulate")
app.command("audit")(trail.audit)

ADMIN = "admin"
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen", metavar="HOST:PORT", help="Default 127.0.0.1:8443; port 0 takes any free one.", show_default=False
    ),
]
DemoData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data directory, kept for another demo; without it a fresh one, removed at the end.",
        show_default=False,
    ),
]
PlainHttp = Annotated[bool, typer.Option("--plain-http", help="HTTP without TLS.")]


def _version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def opensdm(
    shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """An open session delivery manager: doors to session border controllers behind one device lock."""


@app.command()
def version() -> None:
    """Show the version."""
    from opensdm import __version__

    print(f"opensdm {__version__}")


@app.command()
def init(data: Data = None, database: Database = None) -> None:
    """Make a data directory: keys, certificates, database, and the first administrator.

    The administrator's password is taken from OPENSDM_ADMIN_PASSWORD; without it one is made and printed once.
    """
    from opensdm.cli.console import run
    from opensdm.core.identity import check_password
    from opensdm.passwords import generated_password
    from opensdm.server import initialise

    quiet_logs()
    chosen = settings(data=data, database=database)
    given = os.environ.get("OPENSDM_ADMIN_PASSWORD")
    password = generated_password() if given is None else check_password(given)
    made = run(initialise(chosen, ADMIN, password))
    print(f"Initialised {chosen.data}")
    print(f"Certificate authority for clients: {made.ca_cert}")
    if not made.admin_added:
        print(f"The database has a user {ADMIN} already; that password stays (change it: opensdm user passwd {ADMIN})")
    elif given is None:
        print(f"User {ADMIN}, password {password} (shown this once)")
    else:
        print(f"User {ADMIN}, password as in OPENSDM_ADMIN_PASSWORD")
    print(f"Start it: opensdm serve --data {chosen.data}")


@app.command()
def serve(data: Data = None, database: Database = None, listen: Listen = None, plain_http: PlainHttp = False) -> None:
    """Serve until SIGTERM or Ctrl-C. Prints one line once recovery is done and the doors are open."""
    from opensdm.cli.console import run
    from opensdm.logs import configure_logs
    from opensdm.server import Server

    chosen = settings(data=data, database=database, listen=listen, plain_http=plain_http or None)
    configure_logs(chosen.log.level, chosen.log.format)

    async def until_stopped() -> None:
        server = await Server.open(chosen)
        try:
            await server.serve(lambda url: print(f"opensdm: listening on {url}", flush=True))
        finally:
            await server.close()

    run(until_stopped())


@app.command()
def demo(data: DemoData = None, listen: Listen = None, plain_http: PlainHttp = False) -> None:
    """Run everything with two virtual SBCs, and print a whole session to paste.

    OPENSDM_DEMO_PASSWORD sets one password for all users; without it each gets one of its own, printed once.
    """
    from opensdm.cli.console import run
    from opensdm.demo import run_demo
    from opensdm.settings import SQLITE_NAME

    quiet_logs()
    with _demo_directory(data) as directory:
        # Never the database of a server that the environment names.
        database = f"sqlite:///{directory / SQLITE_NAME}"
        chosen = settings(data=directory, database=database, listen=listen, plain_http=plain_http or None)
        run(run_demo(chosen, temporary=data is None))


@contextmanager
def _demo_directory(data: Path | None) -> Iterator[Path]:
    """The directory asked for, or one that lasts as long as the demo."""
    if data is not None:
        yield data.expanduser().absolute()
        return
    with tempfile.TemporaryDirectory(prefix="opensdm-demo-") as made:
        yield Path(made)
