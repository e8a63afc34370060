"""The rows every installation starts with. Migration 1 writes them; later changes are later migrations' work."""

from __future__ import annotations

from sqlalchemy import Connection, insert, text

from opensdm.core.identity import (
    ADMINISTRATORS,
    DEFAULT_RIGHTS,
    LOCAL_USER_ID,
    LOCAL_USER_NAME,
    SYSTEM_USER_ID,
    SYSTEM_USER_NAME,
)
from opensdm.core.inventory import HOME_GROUP_ID, HOME_GROUP_NAME
from opensdm.stores.tables import counter, device_group, group_right, user_account, user_group

NO_PASSWORD = "!"  # not the hash of anything, so that nobody can log in with it
COUNTERS = {"inventory": HOME_GROUP_ID, "claim": 0, "incarnation": 0}


def seed(connection: Connection, now_us: int) -> None:
    """Default user groups and their rights, the two users that are nobody's, `Home`, and the counters."""
    groups = {name: number for number, name in enumerate(DEFAULT_RIGHTS, start=1)}
    connection.execute(insert(user_group), [{"group_id": i, "group_name": name} for name, i in groups.items()])
    rights = [
        {"group_id": groups[name], "area": area.value, "level": int(level)}
        for name, levels in DEFAULT_RIGHTS.items()
        for area, level in levels.items()
    ]
    connection.execute(insert(group_right), rights)
    connection.execute(
        insert(user_account),
        [
            {
                "user_id": user_id, "user_name": name, "name_key": name.casefold(),
                "group_id": groups[ADMINISTRATORS], "password_hash": NO_PASSWORD, "disabled": 0, "created_us": now_us,
            }
            for user_id, name in ((SYSTEM_USER_ID, SYSTEM_USER_NAME), (LOCAL_USER_ID, LOCAL_USER_NAME))
        ],
    )  # fmt: skip
    home = {
        "group_id": HOME_GROUP_ID, "group_name": HOME_GROUP_NAME, "name_key": HOME_GROUP_NAME.casefold(),
        "parent_id": None, "kind": "FOLDER", "nf_id": None, "top_level": 0,
    }  # fmt: skip
    connection.execute(insert(device_group), home)
    connection.execute(insert(counter), [{"name": name, "value": value} for name, value in COUNTERS.items()])
    if connection.dialect.name == "postgresql":
        _advance_sequences(connection)


def _advance_sequences(connection: Connection) -> None:
    """Rows written with their ids leave PostgreSQL's sequences behind; SQLite looks at the largest id itself."""
    for table, column in (("user_account", "user_id"), ("user_group", "group_id")):
        sql = f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table}))"  # noqa: S608
        connection.execute(text(sql))
