"""The schema, once for both databases. Times are integer microseconds UTC; ids are integers, never reused.

Flags are integers 0/1 so that the same statements read alike in SQLite and PostgreSQL.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)

from opensdm.stores.lock_tables import Big, metadata

__all__ = ["metadata"]

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Big, nullable=False),
    comment="Ids that are never reused, across deletion: `inventory` for groups, functions and devices; `claim`.",
)

installation = Table(
    "installation",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="Facts of this installation: key check value, database timeline.",
)

user_group = Table(
    "user_group",
    metadata,
    Column("group_id", Big, primary_key=True),
    Column("group_name", Text, nullable=False, unique=True),
)

group_right = Table(
    "group_right",
    metadata,
    Column("group_id", Big, ForeignKey("user_group.group_id"), primary_key=True),
    Column("area", Text, primary_key=True),
    Column("level", SmallInteger, nullable=False),
)

user_account = Table(
    "user_account",
    metadata,
    Column("user_id", Big, primary_key=True, autoincrement=True),
    Column("user_name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True, comment="the name without case"),
    Column("group_id", Big, ForeignKey("user_group.group_id"), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("disabled", SmallInteger, nullable=False, server_default=text("0")),
    Column("created_us", Big, nullable=False),
    Column("last_login_us", Big),
    sqlite_autoincrement=True,
)

session = Table(
    "session",
    metadata,
    Column("session_id", Big, primary_key=True, autoincrement=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("user_id", Big, ForeignKey("user_account.user_id"), nullable=False),
    Column("door", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("created_us", Big, nullable=False),
    Column("last_used_us", Big, nullable=False),
    Column("idle_timeout_s", Integer, nullable=False),
    Column("expires_us", Big, nullable=False, comment="the end of any session, used or not"),
    Column("ended_us", Big),
    Index("session_by_user", "user_id", "last_used_us"),
    sqlite_autoincrement=True,
)

login_failure = Table(
    "login_failure",
    metadata,
    Column("failure_key", Text, primary_key=True, comment="user:<name> or address:<client>"),
    Column("failures", Integer, nullable=False),
    Column("first_us", Big, nullable=False),
    Column("last_us", Big, nullable=False),
)

device_group = Table(
    "device_group",
    metadata,
    Column("group_id", Big, primary_key=True, autoincrement=False),
    Column("group_name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("parent_id", Big, ForeignKey("device_group.group_id")),
    Column("kind", Text, nullable=False, comment="FOLDER, or FUNCTION inside a network function"),
    Column("nf_id", Big, comment="the network function this group belongs to"),
    Column("top_level", SmallInteger, nullable=False, server_default=text("0")),
    Index("device_group_name", "parent_id", "name_key", unique=True),
)

network_function = Table(
    "network_function",
    metadata,
    Column("nf_id", Big, ForeignKey("device_group.group_id"), primary_key=True, autoincrement=False),
    Column("category", Text, nullable=False),
    Column("type_name", Text, nullable=False),
    Column("group_type", Text, nullable=False),
)

device = Table(
    "device",
    metadata,
    Column("device_id", Big, primary_key=True, autoincrement=False),
    Column("device_name", Text, nullable=False),
    Column("nf_id", Big, ForeignKey("network_function.nf_id"), nullable=False),
    Column("group_id", Big, ForeignKey("device_group.group_id"), nullable=False),
    Column("address", Text, nullable=False),
    Column("secondary_address", Text),
    Column("platform", Text, nullable=False),
    Column("parameters", Text, nullable=False, comment="JSON object of what is not secret"),
    Column("secrets", LargeBinary, nullable=False, comment="encrypted JSON object"),
    Column("description", Text),
    Column("assigned", SmallInteger, nullable=False, server_default=text("0")),
    Column("reachable", SmallInteger, nullable=False, server_default=text("0")),
    Column("serial_number", Text, nullable=False, server_default=text("'--'")),
    Column("software_version", Text, nullable=False, server_default=text("''")),
    Column("config_version", Text, nullable=False, server_default=text("''")),
    Column("last_operation", Text, nullable=False, server_default=text("'None'")),
    Column("status", Text, nullable=False, server_default=text("'Not Loaded'")),
    Column("status_changed_us", Big),
    Column("polled_us", Big),
    Column("poll_error", Text),
    Index("device_by_group", "group_id"),
    Index("device_by_nf", "nf_id"),
    Index(
        "device_by_name",
        "device_name",
        "device_id",
        "address",
        "platform",
        "software_version",
        "serial_number",
        "nf_id",
        "group_id",
    ),
)

node = Table(
    "node",
    metadata,
    Column("incarnation", Big, primary_key=True, autoincrement=False),
    Column("node_name", Text, nullable=False),
    Column("address", Text, nullable=False, server_default=text("''")),
    Column("started_us", Big, nullable=False),
    Column("heartbeat_us", Big, nullable=False),
    Column("heartbeats", Big, nullable=False, server_default=text("0")),
    Column("live", SmallInteger, nullable=False),
    Column("home", Text, nullable=False, server_default=text("''"), comment="host and data directory it runs from"),
    Column("program", Text, nullable=False, server_default=text("''"), comment="the schema its program was made for"),
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("entry_id", Big, primary_key=True, autoincrement=True),
    Column("at_us", Big, nullable=False),
    Column("user_id", Big),
    Column("user_name", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("device_id", Big),
    Column("device_name", Text),
    Column("result", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("count", Integer, nullable=False, server_default=text("1")),
    Column("coalesce_key", Text, unique=True, comment="user, device, operation, code and second of a refusal"),
    Index("audit_by_time", "at_us"),
    Index("audit_by_device", "device_id", "entry_id"),
    Index("audit_by_user", "user_name", "entry_id"),
    sqlite_autoincrement=True,
)

device_schema = Table(
    "device_schema",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False, comment="compressed JSON"),
)

configuration = Table(
    "configuration",
    metadata,
    Column("device_id", Big, ForeignKey("device.device_id"), primary_key=True, autoincrement=False),
    Column("version", Big, nullable=False, comment="the config_version that is our copy"),
    Column("loaded_us", Big, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="our copy as schema 0001 kept it, until the next version"),
)

config_version = Table(
    "config_version",
    metadata,
    Column("device_id", Big, ForeignKey("device.device_id"), primary_key=True, autoincrement=False),
    Column("number", Big, primary_key=True, autoincrement=False),
    Column("taken_us", Big, nullable=False),
    Column("source", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("software_version", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("torn", SmallInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("elements", Integer, nullable=False),
    Column("manifest", Text, nullable=False, comment="JSON: types with their chunks, [path, [[digest, count], ...]]"),
)

config_chunk = Table(
    "config_chunk",
    metadata,
    Column("digest", Text, primary_key=True, comment="keyed: tells nothing of the content"),
    Column("body", LargeBinary, nullable=False, comment="encrypted, compressed JSON: elements of one type"),
    comment="What configurations are made of, each piece once, however many versions hold it.",
)

config_use = Table(
    "config_use",
    metadata,
    Column("device_id", Big, ForeignKey("device.device_id"), primary_key=True, autoincrement=False),
    Column("digest", Text, ForeignKey("config_chunk.digest"), primary_key=True),
    Index("config_use_by_digest", "digest"),
    comment="Which chunks the versions of a device refer to, so that those nobody does can go.",
)

device_drift = Table(
    "device_drift",
    metadata,
    Column("device_id", Big, ForeignKey("device.device_id"), primary_key=True, autoincrement=False),
    Column("found_us", Big, nullable=False),
    Column("total", Integer, nullable=False),
    Column("changed", Text, nullable=False, comment="JSON: type path and key of each, [path, [key, ...]]"),
    Column("locked_by", Text),
    Column("version", Big),
)

device_session = Table(
    "device_session",
    metadata,
    Column("device_id", Big, ForeignKey("device.device_id"), primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False, comment="encrypted"),
    Column("at_us", Big, nullable=False),
    comment="Sessions of ours on devices that may have been left there.",
)

pending_change = Table(
    "pending_change",
    metadata,
    Column("user_id", Big, ForeignKey("user_account.user_id"), primary_key=True, autoincrement=False),
    Column("device_id", Big, ForeignKey("device.device_id"), primary_key=True, autoincrement=False),
    Column("change_set", Text, primary_key=True, server_default=text("''")),
    Column("path", Text, primary_key=True),
    Column("element_key", Text, primary_key=True, comment="JSON list of key values"),
    Column("body", LargeBinary, nullable=False, comment="encrypted JSON: before and after"),
    Column("at_us", Big, nullable=False),
    Index("pending_change_by_device", "device_id"),
)

task = Table(
    "task",
    metadata,
    Column("task_id", Text, primary_key=True, comment="the id of the request that began it"),
    Column("operation", Text, nullable=False),
    Column("device_id", Big, ForeignKey("device.device_id"), nullable=False),
    Column("user_id", Big, ForeignKey("user_account.user_id"), nullable=False),
    Column("claim_id", Big, nullable=False, comment="claims go before their tasks do"),
    Column("started_us", Big, nullable=False),
    Column("ended_us", Big),
    Column("state", Text, nullable=False),
    Column("cancel_asked", SmallInteger, nullable=False, server_default=text("0")),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("result", LargeBinary, comment="encrypted, compressed JSON"),
    Index("task_by_device", "device_id"),
    Index("task_by_time", "started_us"),
)

task_progress = Table(
    "task_progress",
    metadata,
    Column("task_id", Text, ForeignKey("task.task_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at_us", Big, nullable=False),
    Column("stage", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("done", Integer),
    Column("total", Integer),
)
