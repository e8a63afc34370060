"""Waiting lock requests, leases, locks of one session, asks for release, and devices without a fence.

All of it is added; a program of the schema before this one goes on beside it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    add_owners()
    op.create_table(
        "lock_ask",
        sa.Column("device_id", BIG, autoincrement=False, nullable=False),
        sa.Column("asker_id", BIG, autoincrement=False, nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("at_us", BIG, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.ForeignKeyConstraint(["asker_id"], ["user_account.user_id"]),
        sa.PrimaryKeyConstraint("device_id", "asker_id"),
    )
    leased = sa.text("lease_until_us IS NOT NULL")
    op.create_index(
        "device_lock_leased", "device_lock", ["lease_until_us"], sqlite_where=leased, postgresql_where=leased
    )


def add_owners() -> None:
    op.add_column("lock_pending", sa.Column("session_id", BIG, nullable=True))
    op.add_column("lock_pending", sa.Column("scope", sa.Text(), server_default=sa.text("'user'"), nullable=False))
    op.add_column("lock_pending", sa.Column("request_id", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("claim", sa.Column("session_id", BIG, nullable=True))
    op.add_column("claim", sa.Column("unfenced", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("lock_event", sa.Column("scope", sa.Text(), server_default=sa.text("'user'"), nullable=False))
    op.add_column("lock_event", sa.Column("session_id", BIG, nullable=True))
    op.add_column("lock_event", sa.Column("lease_s", sa.Integer(), nullable=True))
    op.add_column("lock_event", sa.Column("lease_until_us", BIG, nullable=True))
