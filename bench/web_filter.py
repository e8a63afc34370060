"""How long the web GUI's list of devices takes to answer a keystroke of its filter, with many devices.

    python bench/web_filter.py [DEVICES] [postgresql://...]

Beside it, in the same run: the published REST list with a name filter, which is what a page would ask for without an
operation of its own; it looks at one column where the page looks at six. Each request goes through the whole door:
session, gate, database, page. The processor's time is given besides, since a machine that others use makes everything
else slower. Without a URL the database is a fresh SQLite file.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Table, insert, text

from opensdm.core.operations import AddUser, Login
from opensdm.doors.rest.app import build_app
from opensdm.doors.web.app import add_web_routes
from opensdm.gate import Caller
from opensdm.stores.database import Connection
from opensdm.stores.lock_tables import device_lock
from opensdm.stores.tables import device, device_group, network_function

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.gatehouse import PASSWORD, House, open_house

TIMES = 15
FIRST_ID = 1000
AT_ONCE = 5000
KEYSTROKES = ("e", "ed", "edge-0042", "edge 17 lab", "no such device")
GROUPS = 100
PAGE, PEER = "/web/devices", "/rest/v1.4/inventory/deviceMgmt/devices"


def rows(number: int) -> tuple[dict[str, object], ...]:
    """One network function with its device and its free lock, as enrolment writes them."""
    nf_id = FIRST_ID + GROUPS + 2 * number
    name = f"{('edge', 'core', 'lab')[number % 3]}-{number:06}"
    group = {
        "group_id": nf_id, "group_name": name, "name_key": name, "parent_id": FIRST_ID + number % GROUPS,
        "kind": "FUNCTION", "nf_id": nf_id, "top_level": 0,
    }  # fmt: skip
    function = {"nf_id": nf_id, "category": "SP Edge & Core", "type_name": "Device", "group_type": "DEVICE"}
    parameters = json.dumps({"username": "ops", "password": "xxxx", "transport": "https", "tls.verify": "true"})
    unit = {
        "device_id": nf_id + 1, "device_name": name, "nf_id": nf_id, "group_id": nf_id,
        "address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:443", "platform": "acme_sbc",
        "parameters": parameters, "secrets": b"x" * 180, "assigned": 1, "software_version": f"SCZ9.{number % 4}.0",
    }  # fmt: skip
    return group, function, unit, {"device_id": nf_id + 1}


async def fill(house: House, devices: int) -> None:
    tables = (device_group, network_function, device, device_lock)
    folders = [
        {"group_id": FIRST_ID + n, "group_name": f"site-{n}", "name_key": f"site-{n}", "parent_id": 1,
         "kind": "FOLDER", "nf_id": None, "top_level": 0}
        for n in range(GROUPS)
    ]  # fmt: skip
    await house.database.transact(lambda connection: _insert(connection, (device_group, folders)))
    for first in range(0, devices, AT_ONCE):
        made = [rows(number) for number in range(first, min(first + AT_ONCE, devices))]
        columns = [(table, [row[place] for row in made]) for place, table in enumerate(tables)]
        await house.database.transact(lambda connection, c=columns: _insert(connection, *c))  # type: ignore[misc]
    await house.database.transact(lambda connection: connection.execute(text("ANALYZE")))


async def _insert(connection: Connection, *tables: tuple[Table, list[dict[str, Any]]]) -> None:
    for table, made in tables:
        await connection.execute(insert(table), made)


async def timed(what: str, http: httpx2.AsyncClient, path: str, **query: str) -> None:
    took, worked = [], time.process_time()
    for _ in range(TIMES):
        begun = time.perf_counter()
        answer = await http.get(path, params=query)
        took.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.text[:300]
    cpu = (time.process_time() - worked) * 1000 / TIMES
    print(f"{what:<36} {statistics.median(took):8.1f} {max(took):8.1f} {cpu:8.1f}", flush=True)


async def main(devices: int, url: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = await open_house(url or f"sqlite:///{folder}/opensdm.db", Path(folder) / "secret.key")
        await house.gate.execute(house.local, AddUser(user_name="alice", group="provisioners", password=PASSWORD))
        login = Login(user_name="alice", password=PASSWORD)
        made = await house.gate.execute(Caller("web", "127.0.0.1", "bench"), login)
        await fill(house, devices)
        app: Any = build_app(house.gate)
        add_web_routes(app, house.gate)
        headers = {"Cookie": f"opensdm={made.token}; JSESSIONID={made.token}", "HX-Request": "true"}
        transport = httpx2.ASGITransport(app=app)
        print(f"{devices} devices, {'PostgreSQL' if url else 'SQLite'}, {TIMES} requests each")
        print(f"{'in ms':<36} {'median':>8} {'worst':>8} {'CPU':>8}")
        async with httpx2.AsyncClient(transport=transport, base_url="https://bench", headers=headers) as http:
            for words in KEYSTROKES:
                await timed(f"page, {words!r}", http, PAGE, q=words)
                await timed(f"its peer, REST {words!r}", http, PEER, name=f"*{words}*", limitation="50")
            await timed("page, no filter", http, PAGE)
            await timed("page, no filter, nine tenths down", http, PAGE, offset=str(devices * 9 // 10))
            await timed("page, one of 100 groups", http, PAGE, group=f"ID{FIRST_ID + 7}", q="edge")
        await house.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2] if len(sys.argv) > 2 else None))
