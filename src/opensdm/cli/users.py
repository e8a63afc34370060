"""`opensdm user`: accounts of people."""

from __future__ import annotations

from typing import Annotated

import typer

from opensdm.cli.options import Data, Database, Json, new_password, quiet_logs, settings

app = typer.Typer(help="Accounts of people.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="User name.")]


@app.command()
def add(
    name: Name,
    group: Annotated[
        str,
        typer.Option(
            "--group", metavar="GROUP", help="administrators, LIAdministrators, provisioners or monitors.",
        ),
    ],
    data: Data = None,
    database: Database = None,
) -> None:  # fmt: skip
    """Add a user. The password comes from OPENSDM_PASSWORD, or is asked for."""
    from opensdm.cli.console import ask

    quiet_logs()
    chosen = settings(data=data, database=database)
    user = ask(chosen, "AddUser", user_name=name, group=group, password=new_password(name))
    print(f"Added {user['user_name']} to {user['group']}")


@app.command("list")
def list_users(data: Data = None, database: Database = None, json: Json = False) -> None:
    """List all users."""
    from opensdm.cli.console import ask
    from opensdm.cli.output import as_json, table, utc

    quiet_logs()
    users = ask(settings(data=data, database=database), "ListUsers")["items"]
    if json:
        as_json(users)
        return
    rows = [
        [u["user_name"], u["group"], "disabled" if u["disabled"] else "enabled", utc(u["last_login_us"])] for u in users
    ]
    table(["NAME", "GROUP", "STATE", "LAST LOGIN"], rows, "There are no users.")


@app.command()
def disable(name: Name, data: Data = None, database: Database = None) -> None:
    """End a user's sessions and refuse new ones. Locks stay until they are overridden."""
    from opensdm.cli.console import ask

    quiet_logs()
    user = ask(settings(data=data, database=database), "DisableUser", user_name=name)
    print(f"Disabled {user['user_name']}; locks of this user stay, see: opensdm lock list")


@app.command()
def delete(name: Name, data: Data = None, database: Database = None) -> None:
    """Delete a user for good, with what is staged. Locks stay until they are overridden; history keeps the name."""
    from opensdm.cli.console import ask

    quiet_logs()
    user = ask(settings(data=data, database=database), "DeleteUser", user_name=name)
    print(f"Deleted {user['user_name']}; locks of this user stay, see: opensdm lock list")


@app.command()
def enable(name: Name, data: Data = None, database: Database = None) -> None:
    """Let a disabled user log in again."""
    from opensdm.cli.console import ask

    quiet_logs()
    user = ask(settings(data=data, database=database), "EnableUser", user_name=name)
    print(f"Enabled {user['user_name']}")


@app.command()
def passwd(name: Name, data: Data = None, database: Database = None) -> None:
    """Set a user's password and end the user's sessions. It comes from OPENSDM_PASSWORD, or is asked for."""
    from opensdm.cli.console import ask

    quiet_logs()
    chosen = settings(data=data, database=database)
    user = ask(chosen, "SetPassword", user_name=name, password=new_password(name))
    print(f"Set the password of {user['user_name']}")
