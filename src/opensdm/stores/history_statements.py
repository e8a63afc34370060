"""The statements about the database's own history: what it says of itself, and what raises its epochs and numbers."""

from __future__ import annotations

from sqlalchemy import text

from opensdm.stores.statements import OWN_TRANSACTION, PAYLOAD_VERSION

FACTS = text("SELECT name, value FROM installation WHERE name IN ('history', 'home')")
ADD_FACT = text("INSERT INTO installation (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING")
SET_FACT = text("UPDATE installation SET value = :value WHERE name = :name")

_HOLD = "SELECT value FROM installation WHERE name = 'history'"
HOLD_FACTS = {"sqlite": text(_HOLD), "postgresql": text(_HOLD + " FOR UPDATE")}

NEWEST_EVENT = text("SELECT coalesce(max(event_id), 0) FROM lock_event")
EVENT = text("SELECT transaction_id, kind, device_id, epoch, at_us FROM lock_event WHERE event_id = :event_id")

LIVE_PEERS = text("SELECT count(*) FROM node WHERE live = 1 AND node_name <> :node_name AND heartbeat_us >= :stale_us")

SYNCHRONOUS = text("SELECT current_setting('synchronous_standby_names') <> ''")

LOCK_ALL = text("SELECT device_id FROM device_lock ORDER BY device_id FOR NO KEY UPDATE")
"""In the order in which batches lock them."""

_EPOCHS = (
    text("UPDATE device_lock SET epoch = epoch + :epoch_step"),
    text("UPDATE lock_ask SET epoch = epoch + :epoch_step"),
    text("UPDATE counter SET value = value + :number_step"),
)
STEPS = {
    "sqlite": (*_EPOCHS, text("UPDATE sqlite_sequence SET seq = seq + :number_step WHERE name = 'lock_event'")),
    "postgresql": (
        *_EPOCHS,
        text("SELECT setval('claim_number', nextval('claim_number') + CAST(:number_step AS bigint))"),
        text(
            "SELECT setval(s, nextval(s) + CAST(:number_step AS bigint))"
            "  FROM CAST(pg_get_serial_sequence('lock_event', 'event_id') AS regclass) AS s"
        ),
    ),
}
"""Whoever follows the events goes on after the last number seen: new events get larger ones than were ever seen."""

_RAISED = """
    INSERT INTO lock_event (transaction_id, payload_version, kind, device_id, device_name, epoch, revoked, actor_id,
                            actor_name, holder_id, holder_name, door, reason, at_us, scope, session_id, lease_s,
                            lease_until_us)
    SELECT {transaction}, {version}, :kind, l.device_id, d.device_name, l.epoch, l.revoked, :actor_id, :actor_name,
           l.holder_id, u.user_name, :door, l.reason, :at_us, l.scope, l.session_id, l.lease_s, l.lease_until_us
      FROM device_lock l JOIN device d ON d.device_id = l.device_id LEFT JOIN user_account u ON u.user_id = l.holder_id
     ORDER BY l.device_id
"""
RAISE_EVENTS = {
    "sqlite": text(_RAISED.format(transaction=OWN_TRANSACTION["sqlite"], version=PAYLOAD_VERSION)),
    "postgresql": text(
        _RAISED.format(transaction=OWN_TRANSACTION["postgresql"], version=PAYLOAD_VERSION)
        .replace(":kind", "CAST(:kind AS text)")
        .replace(":actor_id", "CAST(:actor_id AS bigint)")
        .replace(":actor_name", "CAST(:actor_name AS text)")
        .replace(":door", "CAST(:door AS text)")
        .replace(":at_us", "CAST(:at_us AS bigint)")
    ),
}
