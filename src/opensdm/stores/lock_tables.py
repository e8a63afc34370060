"""The tables of the lock, its claims and its events; see `stores.tables` for the rest and for what holds for all."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, SmallInteger, Table, Text, text

metadata = MetaData()

# SQLite only makes a rowid alias (and AUTOINCREMENT) of INTEGER; PostgreSQL wants the wide type.
Big = BigInteger().with_variant(Integer(), "sqlite")

device_lock = Table(
    "device_lock",
    metadata,
    Column("device_id", Big, ForeignKey("device.device_id"), primary_key=True, autoincrement=False),
    Column("epoch", Big, nullable=False, server_default=text("0")),
    Column("revoked", Big, nullable=False, server_default=text("0")),
    Column("holder_id", Big, ForeignKey("user_account.user_id")),
    Column("since_us", Big),
    Column("door", Text),
    Column("session_id", Big),
    Column("reason", Text),
    Column("scope", Text, nullable=False, server_default=text("'user'")),
    Column("lease_s", Integer),
    Column("lease_until_us", Big),
    Column("uncertain", SmallInteger, nullable=False, server_default=text("0")),
    Column("read_only", SmallInteger, nullable=False, server_default=text("0")),
    Index("device_lock_held", "holder_id", "since_us"),
    Index(
        "device_lock_leased",
        "lease_until_us",
        sqlite_where=text("lease_until_us IS NOT NULL"),
        postgresql_where=text("lease_until_us IS NOT NULL"),
    ),
    comment="The lock, apart from the device row so that polls and edits never wait for it.",
)

lock_loss = Table(
    "lock_loss",
    metadata,
    Column("device_id", Big, primary_key=True, autoincrement=False),
    Column("user_id", Big, ForeignKey("user_account.user_id"), primary_key=True, autoincrement=False),
    Column("epoch", Big, nullable=False),
    Column("by_name", Text, nullable=False),
    Column("reason", Text),
    Column("at_us", Big, nullable=False),
    comment="Locks that ended against their owner's will, until that owner was told.",
)

lock_pending = Table(
    "lock_pending",
    metadata,
    Column("pending_id", Big, primary_key=True, autoincrement=False),
    Column("owner_id", Big, ForeignKey("user_account.user_id"), nullable=False),
    Column("incarnation", Big, nullable=False),
    Column("since_us", Big, nullable=False),
    Column("deadline_us", Big, nullable=False),
    Column("session_id", Big),
    Column("scope", Text, nullable=False, server_default=text("'user'")),
    Column("request_id", Text, nullable=False, server_default=text("''")),
    comment="Waiting lock requests; live only while the database's clock is before the deadline.",
)

lock_pending_device = Table(
    "lock_pending_device",
    metadata,
    Column("pending_id", Big, ForeignKey("lock_pending.pending_id"), primary_key=True, autoincrement=False),
    Column("device_id", Big, primary_key=True, autoincrement=False),
    Index("lock_pending_by_device", "device_id"),
)

lock_ask = Table(
    "lock_ask",
    metadata,
    Column("device_id", Big, primary_key=True, autoincrement=False),
    Column("asker_id", Big, ForeignKey("user_account.user_id"), primary_key=True, autoincrement=False),
    Column("message", Text),
    Column("at_us", Big, nullable=False),
    Column("epoch", Big, nullable=False, comment="of the grant that is asked for; with it the row is of no account"),
    comment="Who asks for the release of which lock.",
)

claim = Table(
    "claim",
    metadata,
    Column("claim_id", Big, primary_key=True, autoincrement=False, comment="also the queue number"),
    Column("owner_id", Big, ForeignKey("user_account.user_id"), nullable=False),
    Column("operation", Text, nullable=False),
    Column("exclusive", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("incarnation", Big, nullable=False),
    Column("parent_id", Big),
    Column("request_id", Text, nullable=False),
    Column("started_us", Big, nullable=False),
    Column("deadline_us", Big, comment="until when a QUEUED claim waits"),
    Column("step_until_us", Big),
    Column("ended_us", Big),
    Column("session_id", Big),
    Column("unfenced", SmallInteger, nullable=False, server_default=text("0")),
)

claim_device = Table(
    "claim_device",
    metadata,
    Column("claim_id", Big, ForeignKey("claim.claim_id"), primary_key=True, autoincrement=False),
    Column("device_id", Big, primary_key=True, autoincrement=False),
    Column("ticket", Big, nullable=False),
    Column("live", SmallInteger, nullable=False, server_default=text("1"), comment="0 once the claim has ENDED"),
    Index("claim_live_by_device", "device_id", sqlite_where=text("live = 1"), postgresql_where=text("live = 1")),
    Index("claim_by_device", "device_id", "claim_id"),
)

lock_event = Table(
    "lock_event",
    metadata,
    Column("event_id", Big, primary_key=True, autoincrement=True),
    Column("transaction_id", Big, nullable=False),
    Column("payload_version", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("device_id", Big, nullable=False),
    Column("device_name", Text, nullable=False),
    Column("epoch", Big, nullable=False),
    Column("revoked", Big, nullable=False),
    Column("actor_id", Big),
    Column("actor_name", Text, nullable=False),
    Column("holder_id", Big),
    Column("holder_name", Text),
    Column("door", Text, nullable=False),
    Column("reason", Text),
    Column("at_us", Big, nullable=False),
    Column("scope", Text, nullable=False, server_default=text("'user'")),
    Column("session_id", Big),
    Column("lease_s", Integer),
    Column("lease_until_us", Big),
    Column("former_id", Big),
    Column("former_name", Text),
    Index("lock_event_by_device", "device_id", "event_id"),
    sqlite_autoincrement=True,
    comment="Append-only; written in the transaction of the change it tells.",
)
