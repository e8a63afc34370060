"""The data directory: what lies where, who uses it, and what was decided when it was made."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from opensdm.core.errors import StoreUnavailable

SERVER, COMMAND = "server", "command"
"""What a process that uses a directory may be."""


class DirectoryInUse(StoreUnavailable):
    """Another process uses the data directory. `holder`: its process id; `role`: SERVER, COMMAND or unknown."""

    def __init__(self, path: Path, holder: int | None, role: str) -> None:
        who = f"process {holder}" if holder is not None else "another process"
        super().__init__(
            f"the data directory {path} is in use by {who} (an opensdm {role or 'process'}); "
            "stop that one first, or use another directory"
        )
        self.holder = holder
        self.role = role


class DataDirectory:
    """Paths inside a data directory. Only its owner may look into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.secret_key = path / "secret.key"
        self.settings = path / "opensdm.toml"
        self.tls = path / "tls"
        self.seen = path / "seen.json"
        self._console = path / "console.sock"
        self._lock_file = path / "server.lock"

    @property
    def initialised(self) -> bool:
        """The settings file is written last, so that a start that was cut short can be tried again."""
        return self.settings.exists()

    def create(self) -> None:
        """Make the directory, closed to everyone else. StoreUnavailable where that cannot be.

        One that holds other things already keeps its mode: it may be anything. What we write there is closed itself.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not any(self.path.iterdir()):
                self.path.chmod(0o700)
        except OSError as error:
            raise StoreUnavailable(
                f"the data directory {self.path} cannot be made: {os.strerror(error.errno or 0)}"
            ) from error

    def create_database_file(self, url: str) -> None:
        """Make the file of an embedded database before SQLite does, readable by its owner only, as its journals are."""
        if url.startswith("sqlite:///"):
            descriptor = os.open(url.removeprefix("sqlite:///"), os.O_CREAT | os.O_RDWR, 0o600)
            os.close(descriptor)

    def write_settings(self, database: str | None, node_name: str) -> None:
        """What every later start needs to know; the mark of a directory that is ready."""
        lines = [
            "# Written by opensdm init and read at every start. Other settings may be added; a setting in the",
            "# environment wins over this file, and one on the command line over both.",
        ]
        if database is not None:
            lines.append(f"database = {_toml(database)}")
        lines += ["", "[node]", f"name = {_toml(node_name)}", ""]
        write_private(self.settings, "\n".join(lines))

    def listen_console(self) -> socket.socket:
        """The console's socket, bound, for the process that uses the directory; one left behind is replaced."""
        self.remove_console()
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(bound.fileno(), 0o600)  # the name gets the mode of the socket
            with _reachable(self._console) as name:
                bound.bind(name)
            bound.setblocking(False)
        except BaseException:
            bound.close()
            raise
        return bound

    def connect_console(self) -> socket.socket | None:
        """A connection to the running server's console; None when no server runs."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _reachable(self._console) as name:
                connection.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise StoreUnavailable(
                f"the console {self._console} cannot be opened: {os.strerror(error.errno or 0)}; "
                "it is for the account that runs the server"
            ) from error
        return connection

    def remove_console(self) -> None:
        self._console.unlink(missing_ok=True)

    @contextmanager
    def used_by(self, role: str) -> Iterator[None]:
        """Use the directory alone. Raises DirectoryInUse; a lock is never left behind by a process that died."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"the data directory {self.path} cannot be used: {os.strerror(error.errno or 0)}"
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
                raise DirectoryInUse(self.path, *_holder(descriptor)) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {role}\n".encode(), 0)
            yield
        finally:
            # The file stays: removing it would let two processes lock two files of the same name.
            os.close(descriptor)


def new_node_name() -> str:
    """A name no other node of a database is likely to have; two that share one would end each other's work."""
    return f"opensdm-{secrets.token_hex(3)}"


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_private(path: Path) -> Mapping[str, object]:
    """A JSON object written with `write_private`; empty when there is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A name for a socket file that is short enough for the kernel (108 bytes), however deep the directory is."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _holder(descriptor: int) -> tuple[int | None, str]:
    process, _, role = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip().partition(" ")
    return (int(process) if process.isdigit() else None), role


def _toml(value: str) -> str:
    """A basic string of TOML; JSON writes the same escapes."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
