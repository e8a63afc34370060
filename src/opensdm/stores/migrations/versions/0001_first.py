"""The first schema: identity, inventory, locks, claims, events, audit, configurations."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    make_tables()
    guard_append_only("audit_entry", allowed="count")
    guard_append_only("lock_event", allowed=None)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE claim_number")
    seed()


def make_tables() -> None:
    """In the order of their references."""
    op.create_table(
        "audit_entry",
        sa.Column("entry_id", BIG, autoincrement=True, nullable=False),
        sa.Column("at_us", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=True),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("device_id", BIG, nullable=True),
        sa.Column("device_name", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("coalesce_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("entry_id"),
        sa.UniqueConstraint("coalesce_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_device", "audit_entry", ["device_id", "entry_id"])
    op.create_index("audit_by_time", "audit_entry", ["at_us"])
    op.create_index("audit_by_user", "audit_entry", ["user_name", "entry_id"])
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "device_group",
        sa.Column("group_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("parent_id", BIG, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("nf_id", BIG, nullable=True),
        sa.Column("top_level", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["device_group.group_id"]),
        sa.PrimaryKeyConstraint("group_id"),
    )
    op.create_index("device_group_name", "device_group", ["parent_id", "name_key"], unique=True)
    op.create_table(
        "device_schema",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "version"),
    )
    op.create_table(
        "installation",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "lock_event",
        sa.Column("event_id", BIG, autoincrement=True, nullable=False),
        sa.Column("transaction_id", BIG, nullable=False),
        sa.Column("payload_version", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("device_id", BIG, nullable=False),
        sa.Column("device_name", sa.Text(), nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("revoked", BIG, nullable=False),
        sa.Column("actor_id", BIG, nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("holder_id", BIG, nullable=True),
        sa.Column("holder_name", sa.Text(), nullable=True),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at_us", BIG, nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("lock_event_by_device", "lock_event", ["device_id", "event_id"])
    op.create_table(
        "login_failure",
        sa.Column("failure_key", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_us", BIG, nullable=False),
        sa.Column("last_us", BIG, nullable=False),
        sa.PrimaryKeyConstraint("failure_key"),
    )
    op.create_table(
        "node",
        sa.Column("incarnation", BIG, autoincrement=False, nullable=False),
        sa.Column("node_name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("started_us", BIG, nullable=False),
        sa.Column("heartbeat_us", BIG, nullable=False),
        sa.Column("heartbeats", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("live", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation"),
    )
    op.create_table(
        "user_group",
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("group_id"),
        sa.UniqueConstraint("group_name"),
    )
    op.create_table(
        "group_right",
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["user_group.group_id"]),
        sa.PrimaryKeyConstraint("group_id", "area"),
    )
    op.create_table(
        "network_function",
        sa.Column("nf_id", BIG, autoincrement=False, nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("type_name", sa.Text(), nullable=False),
        sa.Column("group_type", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["nf_id"], ["device_group.group_id"]),
        sa.PrimaryKeyConstraint("nf_id"),
    )
    op.create_table(
        "user_account",
        sa.Column("user_id", BIG, autoincrement=True, nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("disabled", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_us", BIG, nullable=False),
        sa.Column("last_login_us", BIG, nullable=True),
        sa.ForeignKeyConstraint(["group_id"], ["user_group.group_id"]),
        sa.PrimaryKeyConstraint("user_id"),
        sa.UniqueConstraint("name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "claim",
        sa.Column("claim_id", BIG, autoincrement=False, nullable=False),
        sa.Column("owner_id", BIG, nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("exclusive", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("incarnation", BIG, nullable=False),
        sa.Column("parent_id", BIG, nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("started_us", BIG, nullable=False),
        sa.Column("deadline_us", BIG, nullable=True),
        sa.Column("step_until_us", BIG, nullable=True),
        sa.Column("ended_us", BIG, nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("claim_id"),
    )
    op.create_table(
        "device",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("device_name", sa.Text(), nullable=False),
        sa.Column("nf_id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("secondary_address", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("assigned", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reachable", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("serial_number", sa.Text(), server_default=sa.text("'--'"), nullable=False),
        sa.Column("software_version", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("config_version", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("last_operation", sa.Text(), server_default=sa.text("'None'"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'Not Loaded'"), nullable=False),
        sa.Column("status_changed_us", BIG, nullable=True),
        sa.Column("polled_us", BIG, nullable=True),
        sa.Column("poll_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["group_id"], ["device_group.group_id"]),
        sa.ForeignKeyConstraint(["nf_id"], ["network_function.nf_id"]),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_index("device_by_group", "device", ["group_id"])
    op.create_index("device_by_nf", "device", ["nf_id"])
    op.create_table(
        "lock_loss",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("by_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at_us", BIG, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("device_id", "user_id"),
    )
    op.create_table(
        "lock_pending",
        sa.Column("pending_id", BIG, autoincrement=False, nullable=False),
        sa.Column("owner_id", BIG, nullable=False),
        sa.Column("incarnation", BIG, nullable=False),
        sa.Column("since_us", BIG, nullable=False),
        sa.Column("deadline_us", BIG, nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("pending_id"),
    )
    op.create_table(
        "session",
        sa.Column("session_id", BIG, autoincrement=True, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_us", BIG, nullable=False),
        sa.Column("last_used_us", BIG, nullable=False),
        sa.Column("idle_timeout_s", sa.Integer(), nullable=False),
        sa.Column("expires_us", BIG, nullable=False),
        sa.Column("ended_us", BIG, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("session_id"),
        sa.UniqueConstraint("token_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("session_by_user", "session", ["user_id", "last_used_us"])
    op.create_table(
        "claim_device",
        sa.Column("claim_id", BIG, autoincrement=False, nullable=False),
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("ticket", BIG, nullable=False),
        sa.Column("live", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
        sa.PrimaryKeyConstraint("claim_id", "device_id"),
    )
    op.create_index(
        "claim_live_by_device",
        "claim_device",
        ["device_id"],
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live = 1"),
    )
    op.create_table(
        "configuration",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("loaded_us", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_table(
        "device_lock",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("epoch", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("revoked", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("holder_id", BIG, nullable=True),
        sa.Column("since_us", BIG, nullable=True),
        sa.Column("door", sa.Text(), nullable=True),
        sa.Column("session_id", BIG, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("scope", sa.Text(), server_default=sa.text("'user'"), nullable=False),
        sa.Column("lease_s", sa.Integer(), nullable=True),
        sa.Column("lease_until_us", BIG, nullable=True),
        sa.Column("uncertain", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("read_only", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.ForeignKeyConstraint(["holder_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_index("device_lock_held", "device_lock", ["holder_id", "since_us"])
    op.create_table(
        "lock_pending_device",
        sa.Column("pending_id", BIG, autoincrement=False, nullable=False),
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["pending_id"], ["lock_pending.pending_id"]),
        sa.PrimaryKeyConstraint("pending_id", "device_id"),
    )
    op.create_index("lock_pending_by_device", "lock_pending_device", ["device_id"])
    op.create_table(
        "pending_change",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("element_key", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at_us", BIG, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("user_id", "device_id", "path", "element_key"),
    )
    op.create_index("pending_change_by_device", "pending_change", ["device_id"])


def guard_append_only(table: str, allowed: str | None) -> None:
    """No row of a trail is changed or removed, except the count of coalesced refusals."""
    columns = [c["name"] for c in sa.inspect(op.get_bind()).get_columns(table) if c["name"] != allowed]
    if op.get_bind().dialect.name == "sqlite":
        for name, when in (("delete", "DELETE"), ("update", f"UPDATE OF {', '.join(columns)}")):
            op.execute(
                f"CREATE TRIGGER {table}_no_{name} BEFORE {when} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    when = f"DELETE OR UPDATE OF {', '.join(columns)}"
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE {when} ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
    )


RIGHTS = {
    "administrators": {
        "session": 2, "inventory": 2, "configuration": 2, "configuration.push": 2, "lock": 2, "lock.override": 2,
        "audit": 2, "users": 2,
    },
    "LIAdministrators": {
        "session": 2, "inventory": 2, "configuration": 2, "configuration.push": 2, "lock": 2, "lock.override": 0,
        "audit": 2, "users": 2,
    },
    "provisioners": {"session": 2, "inventory": 2, "configuration": 2, "configuration.push": 2, "lock": 2},
    "monitors": {"session": 2, "inventory": 1, "configuration": 1},
}  # fmt: skip
"""Levels: 0 None, 1 View, 2 Full."""


def seed() -> None:
    """What every installation starts with: counters, groups and their rights, Home, and the two own users."""
    bind = op.get_bind()
    now_us = time.time_ns() // 1000

    def insert(table: str, **values: object) -> None:
        columns = sa.table(table, *(sa.column(name) for name in values))
        bind.execute(columns.insert().values(**values))

    for name, value in (("inventory", 1), ("claim", 0), ("incarnation", 0)):
        insert("counter", name=name, value=value)
    for group_id, (group_name, rights) in enumerate(RIGHTS.items(), start=1):
        insert("user_group", group_id=group_id, group_name=group_name)
        for area, level in rights.items():
            insert("group_right", group_id=group_id, area=area, level=level)
    for user_name in ("system", "local-console"):
        # No password verifies against this; these two are never asked for one.
        insert(
            "user_account", user_name=user_name, name_key=user_name, group_id=4, password_hash="!", disabled=1,
            created_us=now_us,
        )  # fmt: skip
    if bind.dialect.name == "postgresql":
        op.execute("SELECT setval(pg_get_serial_sequence('user_group', 'group_id'), 4)")
    insert("device_group", group_id=1, group_name="Home", name_key="home", kind="FOLDER", top_level=0)
