"""The ledger's statements, named and explained. Dialects differ only where it says so.

`:devices` and the like are expanding lists. Nothing here is built from text at run time.
"""

from __future__ import annotations

from sqlalchemy import TextClause, bindparam, text


def _listed(sql: str, *names: str) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, expanding=True) for name in names))


LOCK_ROWS = _listed(
    """
    SELECT device_id FROM device_lock WHERE device_id IN :devices ORDER BY device_id FOR NO KEY UPDATE
    """,
    "devices",
)
"""PostgreSQL: takes the lock rows in id order, and reads nothing. Whatever is read afterwards, in later
statements, is then what the last holder of these rows committed; read in one statement with the lock it
would be older."""

READ_LOCKS = _listed(
    """
    SELECT l.device_id, d.device_name, l.epoch, l.revoked, l.holder_id, u.user_name AS holder_name, l.since_us,
           l.door, l.session_id, l.reason, l.scope, l.lease_s, l.lease_until_us, l.uncertain, l.read_only, d.platform,
           EXISTS (SELECT 1 FROM claim_device c WHERE c.device_id = l.device_id AND c.live = 1) AS has_claims,
           EXISTS (SELECT 1 FROM lock_pending_device p WHERE p.device_id = l.device_id) AS has_pending,
           EXISTS (SELECT 1 FROM lock_loss x WHERE x.device_id = l.device_id) AS has_losses
      FROM device_lock l
      JOIN device d ON d.device_id = l.device_id
      LEFT JOIN user_account u ON u.user_id = l.holder_id
     WHERE l.device_id IN :devices
    """,
    "devices",
)
"""The flags say which of the next three reads is worth its round trip: mostly none."""

READ_CLAIMS = _listed(
    """
    SELECT c.claim_id, c.owner_id, u.user_name AS owner_name, c.operation, c.exclusive, c.state, c.incarnation,
           c.parent_id, c.request_id, c.started_us, c.step_until_us, c.session_id, c.deadline_us, c.unfenced,
           t.device_id, t.ticket, l.revoked
      FROM claim c
      JOIN user_account u ON u.user_id = c.owner_id
      JOIN claim_device t ON t.claim_id = c.claim_id
      JOIN device_lock l ON l.device_id = t.device_id
     WHERE c.claim_id IN (SELECT claim_id FROM claim_device WHERE device_id IN :devices AND live = 1)
    """,
    "devices",
)
"""Every claim that has not ended on these devices, with all its devices: one row each."""

READ_PENDING = _listed(
    """
    SELECT p.pending_id, p.owner_id, u.user_name AS owner_name, p.deadline_us, p.since_us, p.session_id, p.scope,
           p.incarnation, p.request_id, t.device_id
      FROM lock_pending p
      JOIN user_account u ON u.user_id = p.owner_id
      JOIN lock_pending_device t ON t.pending_id = p.pending_id
     WHERE p.pending_id IN (SELECT pending_id FROM lock_pending_device WHERE device_id IN :devices)
    """,
    "devices",
)
"""Dead ones, too: they bar nobody, and go when their node gives them up."""

READ_LOSSES = _listed(
    "SELECT device_id, user_id, epoch, by_name, reason, at_us FROM lock_loss WHERE device_id IN :devices",
    "devices",
)

READ_SESSIONS = _listed(
    """
    SELECT s.session_id, s.ended_us, s.expires_us, s.last_used_us, s.idle_timeout_s, u.disabled, r.area, r.level
      FROM session s
      JOIN user_account u ON u.user_id = s.user_id
      LEFT JOIN group_right r ON r.group_id = u.group_id
     WHERE s.session_id IN :sessions
    """,
    "sessions",
)
"""Sessions with their users' present rights, a row for each area."""

READ_LIVE_NODES = text("SELECT incarnation FROM node WHERE live = 1")

# ------------------------------------------------------------------------------------ targets

DEVICES_OF_FUNCTION = _listed(
    """
    SELECT f.nf_id AS target_id, d.device_id
      FROM network_function f LEFT JOIN device d ON d.nf_id = f.nf_id
     WHERE f.nf_id IN :targets
    """,
    "targets",
)

DEVICES_OF_GROUP = _listed(
    """
    WITH RECURSIVE tree(target_id, group_id) AS (
        SELECT group_id, group_id FROM device_group WHERE group_id IN :targets
        UNION
        SELECT tree.target_id, g.group_id FROM device_group g JOIN tree ON g.parent_id = tree.group_id
    )
    SELECT tree.target_id, d.device_id FROM tree LEFT JOIN device d ON d.group_id = tree.group_id
    """,
    "targets",
)
"""All devices of a group and of the groups beneath it; a group without devices answers with nulls."""

GROUPS_OF_FUNCTIONS = _listed(
    "SELECT group_id, nf_id FROM device_group WHERE kind = 'FUNCTION' AND group_id IN :targets", "targets"
)

# -------------------------------------------------------------------------------------- writes

WRITE_LOCKS = {
    "sqlite": text(
        """
        UPDATE device_lock
           SET epoch = :epoch, revoked = :revoked, holder_id = :holder_id, since_us = :since_us, door = :door,
               session_id = :session_id, reason = :reason, scope = :scope, lease_s = :lease_s,
               lease_until_us = :lease_until_us, uncertain = :uncertain
         WHERE device_id = :device_id AND epoch <= :epoch
        """
    ),
    "postgresql": text(
        """
        UPDATE device_lock l
           SET epoch = n.epoch, revoked = n.revoked, holder_id = n.holder_id, since_us = n.since_us, door = n.door,
               session_id = n.session_id, reason = n.reason, scope = n.scope, lease_s = n.lease_s,
               lease_until_us = n.lease_until_us, uncertain = n.uncertain
          FROM unnest(CAST(:device_id AS bigint[]), CAST(:epoch AS bigint[]), CAST(:revoked AS bigint[]),
                      CAST(:holder_id AS bigint[]), CAST(:since_us AS bigint[]), CAST(:door AS text[]),
                      CAST(:session_id AS bigint[]), CAST(:reason AS text[]), CAST(:scope AS text[]),
                      CAST(:lease_s AS integer[]), CAST(:lease_until_us AS bigint[]), CAST(:uncertain AS smallint[]))
               AS n(device_id, epoch, revoked, holder_id, since_us, door, session_id, reason, scope, lease_s,
                    lease_until_us, uncertain)
         WHERE l.device_id = n.device_id AND l.epoch <= n.epoch
        """
    ),
}
"""The epoch never falls: a write that would lower it changes nothing, and the ledger counts rows. SQLite takes
a row at a time without leaving the process; PostgreSQL takes all rows as columns in one round trip."""

INSERT_CLAIM = text(
    """
    INSERT INTO claim (claim_id, owner_id, operation, exclusive, state, incarnation, parent_id, request_id,
                       started_us, step_until_us, session_id, deadline_us, unfenced)
    VALUES (:claim_id, :owner_id, :operation, :exclusive, :state, :incarnation, :parent_id, :request_id,
            :started_us, :step_until_us, :session_id, :deadline_us, :unfenced)
    """
)

INSERT_CLAIM_DEVICE = text(
    "INSERT INTO claim_device (claim_id, device_id, ticket, live) VALUES (:claim_id, :device_id, :ticket, 1)"
)

UPDATE_CLAIM = text(
    """
    UPDATE claim SET state = :state, step_until_us = :step_until_us, ended_us = :ended_us, started_us = :started_us,
                     unfenced = :unfenced
     WHERE claim_id = :claim_id AND state <> 'ENDED'
    """
)

END_CLAIM_DEVICES = _listed("UPDATE claim_device SET live = 0 WHERE claim_id IN :claims", "claims")

PAYLOAD_VERSION = 3
"""The form of the events that are written, by whichever statement; see `docs/events.md`."""

_INSERT_EVENT = """
    INSERT INTO lock_event (transaction_id, payload_version, kind, device_id, device_name, epoch, revoked, actor_id,
                            actor_name, holder_id, holder_name, door, reason, at_us, scope, session_id, lease_s,
                            lease_until_us, former_id, former_name)
    VALUES ({transaction}, {version}, :kind, :device_id, :device_name, :epoch, :revoked, :actor_id, :actor_name,
            :holder_id, :holder_name, :door, :reason, :at_us, :scope, :session_id, :lease_s, :lease_until_us,
            :former_id, :former_name)
"""
OWN_TRANSACTION = {"sqlite": "0", "postgresql": "pg_current_xact_id()::text::bigint"}
INSERT_EVENT = {
    dialect: text(_INSERT_EVENT.format(transaction=transaction, version=PAYLOAD_VERSION))
    for dialect, transaction in OWN_TRANSACTION.items()
}
"""The transaction id lets readers stop below the oldest running transaction; SQLite has one writer, and
there the order of ids is the order of commits."""

UPSERT_LOSS = text(
    """
    INSERT INTO lock_loss (device_id, user_id, epoch, by_name, reason, at_us)
    VALUES (:device_id, :user_id, :epoch, :by_name, :reason, :at_us)
    ON CONFLICT (device_id, user_id)
    DO UPDATE SET epoch = excluded.epoch, by_name = excluded.by_name, reason = excluded.reason, at_us = excluded.at_us
    """
)

DELETE_LOSS = text("DELETE FROM lock_loss WHERE device_id = :device_id AND user_id = :user_id")

INSERT_PENDING = text(
    """
    INSERT INTO lock_pending (pending_id, owner_id, incarnation, since_us, deadline_us, session_id, scope, request_id)
    VALUES (:pending_id, :owner_id, :incarnation, :since_us, :deadline_us, :session_id, :scope, :request_id)
    """
)

INSERT_PENDING_DEVICE = text("INSERT INTO lock_pending_device (pending_id, device_id) VALUES (:pending_id, :device_id)")

UPSERT_ASK = text(
    """
    INSERT INTO lock_ask (device_id, asker_id, message, at_us, epoch)
    VALUES (:device_id, :asker_id, :message, :at_us, :epoch)
    ON CONFLICT (device_id, asker_id)
    DO UPDATE SET message = excluded.message, at_us = excluded.at_us, epoch = excluded.epoch
    """
)

DELETE_PENDING_DEVICES = _listed("DELETE FROM lock_pending_device WHERE pending_id IN :pending", "pending")
DELETE_PENDING = _listed("DELETE FROM lock_pending WHERE pending_id IN :pending", "pending")

INSERT_AUDIT = text(
    """
    INSERT INTO audit_entry (at_us, user_id, user_name, door, address, operation, tag, device_id, device_name,
                             result, detail, request_id, count, coalesce_key)
    VALUES (:at_us, :user_id, :user_name, :door, :address, :operation, :tag, :device_id, :device_name,
            :result, :detail, :request_id, :count, :coalesce_key)
    ON CONFLICT (coalesce_key) DO UPDATE SET count = audit_entry.count + excluded.count
    """
)
"""Refusals of one user, device, operation and code within a second are one row with a count; a success
has no key and is always a row of its own."""

DEVICE_NAMES = _listed("SELECT device_id, device_name FROM device WHERE device_id IN :devices", "devices")

RESERVE = {
    "sqlite": text("UPDATE counter SET value = value + :n WHERE name = 'claim' RETURNING value"),
    "postgresql": text("SELECT nextval('claim_number') FROM generate_series(1, :n)"),
}
"""Claim numbers, which are also queue numbers. Any two claims that share a device are ordered by it,
because each takes its number while it holds that device's lock row. SQLite answers the last of `n`
consecutive numbers, PostgreSQL all of them."""

# ------------------------------------------------------------------------------------ recovery

DEVICES_OF_CLAIMS = _listed("SELECT DISTINCT device_id FROM claim_device WHERE claim_id IN :claims", "claims")
DEVICES_OF_PENDING = _listed(
    "SELECT DISTINCT device_id FROM lock_pending_device WHERE pending_id IN :pending", "pending"
)
