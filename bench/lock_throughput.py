"""Durable lock requests: many requests sharing one commit, beside one commit each.

Run `make bench` or `python -m bench.lock_throughput [--database URL] [--seconds 3]`. Both sides run in turn
on the same fresh database, the same rows and the same durability; the ratio is the result.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from opensdm.core.lock import Actor, ReleaseLock, TakeLock
from opensdm.core.operations import Scope
from opensdm.core.ports import NewDevice, Transaction
from opensdm.core.submission import AuditDraft, Submission, Target
from opensdm.stores.database import Database, open_database
from opensdm.stores.ledger import MAX_BATCH, Ledger
from opensdm.stores.recovery import recover, stop_node
from opensdm.stores.schema import migrate
from opensdm.stores.secrets import SecretBox

DEVICES = 500
CLIENTS = 128
ROUNDS = 3


async def prepare(ledger: Ledger) -> tuple[Actor, list[int]]:
    async def effect(tx: Transaction) -> tuple[int, list[int]]:
        user = await tx.identity.add_user("alice", "provisioners", "!")
        ids = []
        for n in range(DEVICES):
            device = NewDevice(f"edge-{n}", f"192.0.2.{n % 250}:{n + 1000}", "acme_sbc", {})
            function = await tx.inventory.add_function(f"edge-{n}", 1, "SP Edge & Core", "Device", [device])
            ids += [d.device_id for d in await tx.inventory.devices_in(function.nf_id)]
        return user.user_id, ids

    user_id, ids = await ledger.write(effect)
    return Actor(user_id, "alice", None, "rest"), ids


async def rate(
    database: Database, incarnation: int, actor: Actor, ids: list[int], max_batch: int, seconds: float
) -> float:
    """Lock and unlock requests answered per second, every one durable and audited."""
    ledger = Ledger(database, incarnation, max_batch=max_batch)
    ledger.start()
    audit = AuditDraft(actor.user_id, actor.user_name, "rest", "127.0.0.1", "LockDevice", "device:lock:taken", "bench")
    done = 0
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal done
        mine = ids[number::CLIENTS]
        turn = 0
        while time.perf_counter() < end:
            target = Target(Scope.DEVICE, mine[turn % len(mine)])
            await ledger.submit(Submission(target, TakeLock(actor, frozenset()), audit=audit))
            await ledger.submit(Submission(target, ReleaseLock(actor, frozenset()), audit=audit))
            done += 2
            turn += 1

    started = time.perf_counter()
    await asyncio.gather(*(client(n) for n in range(CLIENTS)))
    elapsed = time.perf_counter() - started
    await ledger.stop()
    return done / elapsed


async def run(url: str | None, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        url = url or f"sqlite:///{directory}/bench.db"
        await migrate(url)
        database = open_database(url, SecretBox.create(Path(directory) / "secret.key"))
        recovered = await recover(database, "bench", "127.0.0.1")
        first = Ledger(database, recovered.incarnation)
        first.start()
        actor, ids = await prepare(first)
        await first.stop()
        pairs = []
        for _ in range(ROUNDS):
            shared = await rate(database, recovered.incarnation, actor, ids, MAX_BATCH, seconds)
            single = await rate(database, recovered.incarnation, actor, ids, 1, seconds)
            pairs.append((shared, single))
            print(f"shared commits {shared:9.0f}/s   one commit each {single:8.0f}/s   ratio {shared / single:5.1f}")
        ratio = statistics.median(shared / single for shared, single in pairs)
        print(f"{database.dialect}, {CLIENTS} clients, {DEVICES} devices: median ratio {ratio:.1f}")
        await stop_node(database, recovered.incarnation)
        await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", help="postgresql://... of an empty database; default: a temporary SQLite file")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each of the measured stretches")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.database, arguments.seconds))


if __name__ == "__main__":
    main()
