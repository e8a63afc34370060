"""Configurations in versions made of chunks, named change sets, drift, tasks, sessions left on devices.

What is there stays: our copies are sealed, so they keep their form until a program with the key saves the next version.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    make_versions()
    make_tasks()
    make_device_tables()
    name_change_sets()
    op.create_index("claim_by_device", "claim_device", ["device_id", "claim_id"])


def make_versions() -> None:
    op.create_table(
        "config_version",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("number", BIG, autoincrement=False, nullable=False),
        sa.Column("taken_us", BIG, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("software_version", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("torn", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("elements", sa.Integer(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.PrimaryKeyConstraint("device_id", "number"),
    )
    op.create_table(
        "config_chunk",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "config_use",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.ForeignKeyConstraint(["digest"], ["config_chunk.digest"]),
        sa.PrimaryKeyConstraint("device_id", "digest"),
    )
    op.create_index("config_use_by_digest", "config_use", ["digest"])


def make_tasks() -> None:
    op.create_table(
        "task",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("device_id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("claim_id", BIG, nullable=False),
        sa.Column("started_us", BIG, nullable=False),
        sa.Column("ended_us", BIG, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cancel_asked", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index("task_by_device", "task", ["device_id"])
    op.create_index("task_by_time", "task", ["started_us"])
    op.create_table(
        "task_progress",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_us", BIG, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["task_id"], ["task.task_id"]),
        sa.PrimaryKeyConstraint("task_id", "number"),
    )


def make_device_tables() -> None:
    op.create_table(
        "device_drift",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("found_us", BIG, nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Text(), nullable=False),
        sa.Column("locked_by", sa.Text(), nullable=True),
        sa.Column("version", BIG, nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_table(
        "device_session",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("at_us", BIG, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.PrimaryKeyConstraint("device_id"),
    )


def name_change_sets() -> None:
    """The set's name joins the key; what was staged is in the unnamed set. SQLite changes no key: a new table does."""
    if op.get_bind().dialect.name == "postgresql":
        op.add_column(
            "pending_change", sa.Column("change_set", sa.Text(), server_default=sa.text("''"), nullable=False)
        )
        op.drop_constraint("pending_change_pkey", "pending_change")
        key = ["user_id", "device_id", "change_set", "path", "element_key"]
        op.create_primary_key("pending_change_pkey", "pending_change", key)
        return
    op.rename_table("pending_change", "pending_change_0001")
    op.drop_index("pending_change_by_device", "pending_change_0001")
    op.create_table(
        "pending_change",
        sa.Column("user_id", BIG, autoincrement=False, nullable=False),
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("change_set", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("element_key", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at_us", BIG, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.device_id"]),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("user_id", "device_id", "change_set", "path", "element_key"),
    )
    op.execute(
        "INSERT INTO pending_change (user_id, device_id, path, element_key, body, at_us) "
        "SELECT user_id, device_id, path, element_key, body, at_us FROM pending_change_0001"
    )
    op.drop_table("pending_change_0001")
    op.create_index("pending_change_by_device", "pending_change", ["device_id"])
