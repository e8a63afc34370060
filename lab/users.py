"""The two accounts that log in on lab devices, made once on a machine, with a password only root can read.

Both have a shell, because sshd runs a subsystem and a forced command by way of it; that is why the password is random
for the machine and not a constant: a machine may have an sshd of its own that lets these accounts in. The lab's own
sshd let in one account each, listen on loopback or in a namespace, and run one program whatever is asked for.
"""

import grp
import pwd
import secrets
import subprocess
from dataclasses import dataclass

from lab.machine import STATE, machine_lock, run

NETCONF_USER = "opensdm-lab"
ROUTER_USER = "opensdm-rtr"


@dataclass(frozen=True)
class Login:
    """A name and its password on this machine."""

    user: str
    password: str


def netconf_login() -> Login:
    """The account for NETCONF devices, made if it is not there."""
    return _login(NETCONF_USER, ())


def router_login() -> Login:
    """The account for FRR routers; its groups let vtysh talk to the daemons and save."""
    return _login(ROUTER_USER, ("frrvty", "frr"))


def _login(user: str, groups: tuple[str, ...]) -> Login:
    stored = STATE / f"{user}.password"
    with machine_lock():
        if not _exists(user):
            more = ("--groups", ",".join(groups)) if groups else ()
            run("useradd", "--system", "--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", *more, user)
            stored.unlink(missing_ok=True)
        elif not set(groups) <= {entry.gr_name for entry in grp.getgrall() if user in entry.gr_mem}:
            # FRR was removed and installed again since.
            run("usermod", "--append", "--groups", ",".join(groups), user)
        if not stored.exists():
            password = secrets.token_urlsafe(12)
            stored.touch(mode=0o600)
            stored.write_text(password)
            _set_password(user, password)
        return Login(user, stored.read_text())


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


def _set_password(user: str, password: str) -> None:
    # By standard input: a command line can be read by everyone.
    subprocess.run(["chpasswd"], input=f"{user}:{password}\n", text=True, check=True, timeout=60)
