"""What is asked of `InventoryStore` about reaching devices: sessions left there, keys learned, writes under way."""

from __future__ import annotations

import pytest

from opensdm.core.errors import NotFound
from opensdm.core.lock import BeginStep, EndClaim, Interrupt, Stepped, TakeAway, TakeLock
from opensdm.core.ports import Activity
from opensdm.testing.store import SECOND_US, OpenStore, actor
from opensdm.testing.tasks import admit


class ReachContract:
    """What is kept about being on a device."""

    async def test_a_left_session_is_noted_sealed(self, store: OpenStore) -> None:
        device = await store.add_device("edge-a", "192.0.2.1", secrets={"password": "s3cret"})
        device_id = device.device_id

        async def left() -> str | None:
            return (await store.read(lambda tx: tx.inventory.credentials(device_id))).left_session

        async def leave(note: str | None) -> None:
            await store.write(lambda tx: tx.inventory.set_left_session(device_id, note))

        assert await left() is None
        for note in ("token 4711", "session-id 12 ü"):
            await leave(note)
            assert await left() == note
            ((raw,),) = await store.rows("SELECT note FROM device_session")
            assert note.encode() not in raw
        credentials = await store.read(lambda tx: tx.inventory.credentials(device_id))
        assert credentials.password == "s3cret" and "session-id" not in repr(credentials)
        await leave(None)
        assert await left() is None
        with pytest.raises(NotFound, match="ID999"):
            await store.write(lambda tx: tx.inventory.set_left_session(999, "token"))
        await leave("token")
        await store.write(lambda tx: tx.inventory.delete_function(device.nf_id))
        assert await store.rows("SELECT note FROM device_session") == []

    async def test_the_first_to_learn_a_parameter_wins(self, store: OpenStore) -> None:
        device = await store.add_device("edge-a", "192.0.2.1", secrets={"password": "s3cret"}, port="22")
        device_id = device.device_id

        async def learn(**parameters: str) -> None:
            named = {name.replace("_", "."): value for name, value in parameters.items()}
            await store.write(lambda tx: tx.inventory.learn_parameters(device_id, named))

        await learn(ssh_host_key="", snmp_mode="")
        assert (await store.read(lambda tx: tx.inventory.device(device_id))).parameters == device.parameters
        await learn(ssh_host_key="ssh-ed25519 AAAA", port="830", password="other", primary_ip="192.0.2.9")
        await learn(ssh_host_key="ssh-ed25519 BBBB")
        learned = await store.read(lambda tx: tx.inventory.device(device_id))
        assert learned.parameters == {**device.parameters, "ssh.host.key": "ssh-ed25519 AAAA"}
        credentials = await store.read(lambda tx: tx.inventory.credentials(device_id))
        assert (credentials.password, credentials.address) == ("s3cret", "192.0.2.1")
        with pytest.raises(NotFound, match="ID999"):
            await store.write(lambda tx: tx.inventory.learn_parameters(999, {"port": "1"}))

    async def test_it_is_known_whether_somebody_writes(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        first = (await store.add_device("edge-a", "192.0.2.1")).device_id
        second = (await store.add_device("edge-b", "192.0.2.2")).device_id
        incarnation = store.ledger.incarnation

        async def writing(device_id: int = first) -> tuple[int, bool]:
            return await store.read(lambda tx: tx.inventory.writing(device_id))

        async def activity() -> Activity | None:
            return (await store.read(lambda tx: tx.inventory.activity([first, second]))).get(first)

        assert await writing() == (0, False) and await activity() is None
        shared = await admit(store, alice, first, exclusive=False)
        assert await writing() == (0, False) and await activity() is None, "reading is no writing"
        await store.decide(EndClaim(shared), first)
        done = await admit(store, alice, first)
        assert (await writing(), await activity()) == ((done, True), Activity(busy=True))
        assert await writing(second) == (0, False)
        await store.decide(EndClaim(done), first)
        assert await writing() == (done, False)
        cut = await admit(store, alice, first)
        assert isinstance(await store.decide(BeginStep(cut, incarnation, 60 * SECOND_US), first), Stepped)
        await store.decide(Interrupt(cut), first)
        assert await writing() == (cut, True), "what was sent may still arrive"
        assert await activity() == Activity(busy=True, uncertain=True)
        store.ahead_s = 61
        assert (await writing(), await activity()) == ((cut, False), Activity(uncertain=True))
        store.ahead_s = 0
        await store.decide(TakeLock(actor(alice), frozenset()), second)
        fenced = await admit(store, alice, second)
        assert isinstance(await store.decide(BeginStep(fenced, incarnation, 60 * SECOND_US), second), Stepped)
        await store.decide(TakeAway(actor(bob), frozenset(), "emergency"), second)
        assert await writing(second) == (fenced, True)
        store.ahead_s = 61
        assert await writing(second) == (fenced, False)
