"""`opensdm simulate`: devices that are not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from opensdm.cli.failures import USAGE, CommandFailed
from opensdm.cli.options import quiet_logs

app = typer.Typer(help="Virtual devices.", no_args_is_help=True)


@app.callback()
def simulate() -> None:
    """Virtual devices, for trying things out and for tests."""


@app.command()
def sbc(
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen; port 0: any.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Its host name.")] = "virtual-sbc",
    username: Annotated[str, typer.Option("--username", metavar="NAME", help="Its administrator.")] = "netops",
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="Keeps saved and running configuration here.")
    ] = None,
    tls: Annotated[
        Path | None,
        typer.Option("--tls", metavar="DIR", help="Keeps its certificates here; else made anew at each start."),
    ] = None,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="HTTP without TLS.")] = False,
    pair: Annotated[
        str | None, typer.Option("--pair", metavar="HOST:PORT", help="Make it an HA pair: the standby listens here.")
    ] = None,
    elements: Annotated[
        list[str] | None,
        typer.Option("--elements", metavar="TYPE=NUMBER", help="So many made-up elements of a type; repeatable."),
    ] = None,
    controllable: Annotated[
        bool, typer.Option("--controllable", help="Open POST /simulator/control for faults; for tests.")
    ] = False,
) -> None:
    """Run one virtual session border controller until SIGTERM or Ctrl-C.

    Its password is taken from OPENSDM_SBC_PASSWORD; without it one is made and printed once.
    """
    from opensdm.cli.console import run
    from opensdm.passwords import generated_password
    from opensdm.simulator import serve
    from opensdm.tls import ensure_certificates

    quiet_logs()
    host, port = _split("--listen", listen)
    standby = None if pair is None else _split("--pair", pair)
    wanted = dict(_number(each) for each in elements or ())
    given = os.environ.get("OPENSDM_SBC_PASSWORD")
    password = generated_password() if given is None else given
    with tempfile.TemporaryDirectory(prefix="virtual-sbc-") as temporary:
        certificate = None
        if not plain_http:
            files = ensure_certificates(tls or Path(temporary), [host, *([standby[0]] if standby else [])])
            certificate = files.server_cert, files.server_key
            print(f"virtual-sbc: certificate authority {files.ca_cert.resolve()}")
        shown = f"password {password} (shown this once)" if given is None else "password as in OPENSDM_SBC_PASSWORD"
        print(f"virtual-sbc: user {username}, {shown}", flush=True)
        work = serve(
            host, port, name=name, username=username, password=password, tls=certificate, plain_http=plain_http,
            state_path=state, controllable=controllable, standby=standby, elements=wanted,
        )  # fmt: skip
        try:
            run(work)
        except ValueError as error:
            raise CommandFailed(f"--elements: {error}", USAGE) from error
        except OSError as error:
            raise CommandFailed(f"cannot listen on {listen}: {error.strerror or error}; choose another") from error


def _split(option: str, address: str) -> tuple[str, int]:
    from opensdm.settings import split_listen

    try:
        return split_listen(address)
    except ValueError as error:
        raise CommandFailed(f"{option}: {error}", USAGE) from error


def _number(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isdecimal():
        raise CommandFailed(f"--elements: {text!r} is not TYPE=NUMBER", USAGE)
    return name, int(count)
