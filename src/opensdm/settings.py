"""Every setting of the server: from the command line, `OPENSDM_...` in the environment, or `opensdm.toml`.

Settings come in sections. `log.level` is `OPENSDM_LOG_LEVEL` in the environment, and `level` under `[log]` in
`opensdm.toml` in the data directory. The command line wins over the environment, and that over the file.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from opensdm.core.database_url import check_database_url
from opensdm.core.errors import InvalidRequest
from opensdm.core.node import RHYTHM

PREFIX = "OPENSDM_"
FILE_NAME = "opensdm.toml"
DEFAULT_LISTEN = "127.0.0.1:8443"
SQLITE_NAME = "opensdm.sqlite3"


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSettings(Section):
    """This server among those that ever worked on its database."""

    name: str = Field(
        default="opensdm1",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$",
        description="Name of this node; ends every session id. `opensdm init` chooses one that no other node has.",
    )
    address: str | None = Field(
        default=None, max_length=255, description="Where this node is, as shown to people; without it as `listen` says."
    )
    heartbeat_s: float = Field(
        default=RHYTHM.heartbeat_s, ge=0.1, le=60, description="Seconds between two signs of life in the database."
    )
    dead_after_s: float = Field(
        default=RHYTHM.dead_after_s,
        ge=0.5,
        le=600,
        description="Seconds without one after which any other node ends what this one was doing. The same at every "
        "node of a database, and at least three heartbeats.",
    )

    @model_validator(mode="after")
    def _rhythm(self) -> NodeSettings:
        if self.dead_after_s < 3 * self.heartbeat_s:
            raise ValueError("node.dead_after_s must be at least three times node.heartbeat_s")
        return self


class TlsSettings(Section):
    """The certificate clients see."""

    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Further host names and addresses for the certificate this server makes itself; "
        "in the environment separated by commas. The listening address, localhost and the host name are always there.",
    )
    certificate: Path | None = Field(
        default=None, description="PEM file of a certificate of your own, with its chain; used together with `tls.key`."
    )
    key: Path | None = Field(default=None, description="PEM file of the private key of `tls.certificate`.")

    @field_validator("hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class SessionSettings(Section):
    """How long people stay logged in."""

    admin_idle_s: int = Field(
        default=0,
        ge=0,
        le=31_536_000,
        description="Idle seconds after which an administrator's session ends; 0: never.",
    )
    user_idle_s: int = Field(
        default=1800, ge=0, le=31_536_000, description="Idle seconds after which anyone else's session ends; 0: never."
    )
    absolute_s: int = Field(
        default=86_400, ge=60, le=31_536_000, description="Seconds after its login at which every session ends."
    )
    max_per_user: int = Field(
        default=1000, ge=1, le=100_000, description="Sessions of one user; past it the least recently used one ends."
    )


class RestSettings(Section):
    """The REST door."""

    lists: Literal["flat", "nested"] = Field(
        default="flat", description="List form of replies; requests may use either."
    )
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, le=1_073_741_824, description="Largest request body, in bytes."
    )
    body_timeout_s: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds a whole request body may take to arrive."
    )
    streams_per_session: int = Field(
        default=16, ge=1, le=10_000, description="Streams of events that one session may follow at the same time."
    )
    streams: int = Field(
        default=1000, ge=1, le=100_000, description="Streams of events that this node has for all sessions together."
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+$",
        description="Base URL of the server as clients reach it, when a proxy stands before it; for the calls that "
        "errors show. Without it, as the client itself reached the server.",
    )


class SoapSettings(Section):
    """The SOAP door; bodies and URLs are as set for the REST door."""

    names: Path | None = Field(
        default=None,
        description="TOML file with the namespaces and paths of the vendor's own WSDL, for clients made from that one.",
    )


class WebSettings(Section):
    """The web GUI door; bodies and URLs are as set for the REST door."""

    banner: str = Field(
        default="", max_length=2000, description="Shown above the sign-in form: who may use this system, say."
    )


class PollSettings(Section):
    """Asking devices whether they are there."""

    interval_s: float = Field(
        default=60.0, ge=0, le=86_400, description="Seconds between two polls of a device; 0: none."
    )
    concurrency: int = Field(default=8, ge=1, le=256, description="Devices polled at the same time.")
    compare_s: float = Field(
        default=900.0,
        ge=0,
        le=31_536_000,
        description="Seconds between two polls of a device that also compare what it runs with our copy; 0: never.",
    )


class BackupSettings(Section):
    """Keeping versions of what devices run."""

    interval_s: float = Field(
        default=86_400.0,
        ge=0,
        le=31_536_000,
        description="Seconds between two scheduled backups of a managed device; 0: none.",
    )
    concurrency: int = Field(default=4, ge=1, le=256, description="Devices backed up at the same time.")
    keep: int = Field(
        default=500, ge=1, le=1_000_000, description="Versions kept of each device; past it the oldest go."
    )


class DeviceSettings(Section):
    """Connections to devices."""

    connections: int = Field(
        default=64, ge=1, le=10_000, description="Connections to devices that may be open at the same time."
    )
    idle_s: float = Field(
        default=60.0, ge=0, le=86_400, description="Seconds an unused connection is kept for the next operation."
    )


class LockSettings(Section):
    """The device lock."""

    wait_s: float = Field(
        default=5.0,
        ge=0,
        le=86_400,
        description="Seconds a lock request waits for other users' work on the device to end, unless it says how long "
        "itself; 0: it is refused at once.",
    )
    max_wait_s: float = Field(
        default=600.0, ge=0, le=86_400, description="Longest wait, in seconds, that a lock request may ask for."
    )
    queue_s: float = Field(
        default=5.0,
        ge=0,
        le=86_400,
        description="Seconds that a write (load, push, restore, ...) waits for another one on the same device.",
    )
    max_lease_s: int = Field(
        default=86_400, ge=1, le=31_536_000, description="Longest lease, in seconds, that a lock may be taken with."
    )
    live_reads: Literal["closed"] = Field(
        default="closed",
        description="Reads from a device that another user has locked: `closed` refuses them. There is no other value "
        "yet.",
    )


class LogSettings(Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What is logged at least.")
    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="`json` is one object a line; `auto` is `console` on a terminal and `json` elsewhere.",
    )


class Settings(BaseSettings):
    """All settings of one server."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1, frozen=True, extra="forbid"
    )

    data: Path = Field(description="Data directory: keys, certificates, the console's socket, the embedded database.")
    database: str | None = Field(
        default=None,
        repr=False,
        description="`postgresql://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME` with all servers of which one may be the "
        "primary, or `sqlite:///PATH`; "
        f"without it the embedded database `{SQLITE_NAME}` in the data directory.",
    )
    listen: str = Field(default=DEFAULT_LISTEN, description="HOST:PORT to listen on; port 0 takes any free one.")
    plain_http: bool = Field(default=False, description="HTTP without TLS: for a proxy before the server that adds it.")
    node: NodeSettings = Field(default_factory=NodeSettings, description="This node.")
    tls: TlsSettings = Field(default_factory=TlsSettings, description="The certificate clients see.")
    session: SessionSettings = Field(default_factory=SessionSettings, description="How long people stay logged in.")
    rest: RestSettings = Field(default_factory=RestSettings, description="The REST door.")
    soap: SoapSettings = Field(default_factory=SoapSettings, description="The SOAP door.")
    web: WebSettings = Field(default_factory=WebSettings, description="The web GUI.")
    poll: PollSettings = Field(default_factory=PollSettings, description="Asking devices whether they are there.")
    backup: BackupSettings = Field(default_factory=BackupSettings, description="Keeping versions of what devices run.")
    device: DeviceSettings = Field(default_factory=DeviceSettings, description="Connections to devices.")
    lock: LockSettings = Field(default_factory=LockSettings, description="The device lock.")
    log: LogSettings = Field(default_factory=LogSettings, description="The log, on standard error.")

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        split_listen(value)
        return value

    @field_validator("database")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                check_database_url(value)
            except InvalidRequest as error:
                raise ValueError(error.message) from error
        return value

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return Path(os.path.abspath(value.expanduser()))

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / SQLITE_NAME}"

    @property
    def address(self) -> tuple[str, int]:
        """Host, without brackets, and port to listen on."""
        return split_listen(self.listen)


def load_settings(**given: Any) -> Settings:
    """The settings of one start. `given`: what the command line says; None says nothing.

    Raises InvalidRequest with one sentence that names the setting; a value never appears in it.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    data = chosen.get("data") or os.environ.get(f"{PREFIX}DATA")
    if not data:
        raise InvalidRequest(f"which data directory? Say so with --data DIR or {PREFIX}DATA")
    file = Path(data).expanduser() / FILE_NAME

    class WithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    try:
        return WithFile(**chosen)
    except ValidationError as error:
        raise InvalidRequest(_sentence(error, file)) from None
    except (OSError, ValueError) as error:
        # The parser's own words name line and column, and nothing of the content.
        raise InvalidRequest(f"the settings cannot be read: {type(error).__name__} in {file}") from error


def split_listen(value: str) -> tuple[str, int]:
    """`127.0.0.1:8443`, `[::1]:8443` or `:8443` as host and port. ValueError says what is wrong."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("a listening address is HOST:PORT with a port from 0 to 65535; IPv6 in brackets")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError("an IPv6 listening address stands in brackets: [::1]:8443")
    return host or "0.0.0.0", int(port)  # noqa: S104 (asked for by leaving the host away)


def _sentence(error: ValidationError, file: Path) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        what = "there is no such setting"
    variable = PREFIX + name.replace(".", "_").upper()
    return f"setting {name!r} (option, {variable} or {file}): {what[0].lower()}{what[1:]}"
