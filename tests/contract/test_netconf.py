"""The NETCONF driver, against Debian's netconfd behind a real sshd."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from lab.netconf import NAMESPACE, SHIPPED_MODULES, YANG
from opensdm.core.difference import missing_from
from opensdm.core.element import Element
from opensdm.core.errors import DeviceSideLocked, InvalidRequest, Rejected, Unreachable, UntrustedDevice
from opensdm.core.inventory import Credentials
from opensdm.core.ports import ElementEdit
from opensdm.core.validation import validate
from opensdm.drivers.netconf import NetconfDriver
from opensdm.drivers.netconf_sessions import SessionNote, read_note
from opensdm.testing.driver import DriverContract
from opensdm.testing.driver_bench import DEVICE, activate, find, push, told
from tests.contract.netconf_bench import NetconfBench, Proxy
from tests.lab_fixtures import NetconfPool

Start = Callable[..., Awaitable[NetconfBench]]


@pytest.fixture
async def start(netconf_pool: NetconfPool) -> AsyncIterator[Start]:
    """Puts a bench with given device parameters before the device."""
    (running,) = netconf_pool.take()
    benches: list[NetconfBench] = []

    async def launch(**parameters: str) -> NetconfBench:
        proxy = Proxy(running)
        await proxy.start()
        benches.append(NetconfBench(proxy, {name.replace("_", "."): value for name, value in parameters.items()}))
        return benches[-1]

    yield launch
    for bench in benches:
        await bench.close()
        await bench.proxy.stop()


@pytest.fixture
async def bench(start: Start) -> NetconfBench:
    return await start()


class TestNetconf(DriverContract):
    """The contract."""


# --------------------------------------------------------------------------------------- validate and confirm


async def test_what_is_lost_after_a_validation_shows_when_read_back(start: Start) -> None:
    """netconfd answers ok three times and running is unchanged."""
    bench = await start(netconf_validate="true")
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    await push(device, permit, schema, ElementEdit(None, bench.new_element()))
    found = await find(device, permit, schema, bench.new_element(), running=True)
    assert missing_from(schema, bench.new_element(), found) != []
    await device.close()
    assert [name for name in bench.proxy.asked if name in ("edit-config", "validate", "commit")] == [
        "edit-config", "validate", "commit", "commit",
    ]  # fmt: skip


async def test_a_validation_says_what_is_wrong(start: Start) -> None:
    bench = await start(netconf_validate="true")
    await DriverContract().test_verify_says_what_is_wrong(bench)
    assert bench.proxy.asked.count("validate") == 2


async def test_without_a_confirmation_the_device_undoes_it(start: Start) -> None:
    """netconfd looks at its timers only after a second in which it was asked nothing."""
    bench = await start(netconf_confirm_s="1")
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    new, until = bench.new_element(), time.monotonic() + 15
    await device.lock(permit)
    await device.write(permit, schema, ElementEdit(None, new))
    await device.activate(permit)
    assert await find(device, permit, schema, new, running=True) is not None
    while await find(device, permit, schema, new, running=True) is not None:
        assert time.monotonic() < until, "it still runs"
        await asyncio.sleep(1.3)
    with pytest.raises(Rejected, match="within 1 s; the device has undone it"):
        await device.confirm(permit)
    await device.close()
    assert bench.proxy.asked.count("commit") == 1


# ------------------------------------------------------------------------------------------------- locks


async def test_who_holds_the_devices_lock_is_said(bench: NetconfBench) -> None:
    await bench.hold_lock(True)
    device = bench.connect()
    with pytest.raises(DeviceSideLocked, match="on its own side") as caught:
        await device.lock(bench.book.write())
    await device.close()
    assert bench.holder is not None
    assert caught.value.facts["sessionId"] == bench.holder.session_id
    assert f"session {bench.holder.session_id} of {bench.device.user}" in caught.value.message
    assert bench.book.note is None, "what was not locked need not be ended"


async def test_edits_nobody_committed_are_thrown_away_before_the_lock(bench: NetconfBench) -> None:
    stranger = await asyncio.to_thread(bench.direct)
    edit = f'<config><peer xmlns="{NAMESPACE}"><name>left</name><address>192.0.2.9</address></peer></config>'
    await asyncio.to_thread(stranger.edit_config, edit, target="candidate")
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    await device.lock(permit)
    assert await device.read_elements(permit, schema, ["peer"]) == ()
    await device.unlock(permit)
    await device.close()
    await asyncio.to_thread(stranger.close_session)
    assert [name for name in bench.proxy.asked if name in ("lock", "discard-changes")] == [
        "lock", "discard-changes", "lock",
    ]  # fmt: skip


async def test_a_session_of_that_number_that_is_another_is_left_alone(bench: NetconfBench) -> None:
    """Session numbers start anew when a device does."""
    stranger = await asyncio.to_thread(bench.direct)
    device = bench.connect(left_session=SessionNote(stranger.session_id, "2001-01-01T00:00:00Z").written())
    permit = bench.book.write()
    await device.lock(permit)
    await device.unlock(permit)
    await device.close()
    assert "kill-session" not in bench.proxy.asked
    assert (await asyncio.to_thread(stranger.get_config, "running")).ok
    await asyncio.to_thread(stranger.close_session)


async def test_a_left_session_is_ended_by_its_note(bench: NetconfBench) -> None:
    old, permit = bench.connect(), bench.book.write()
    await old.lock(permit)
    note = bench.book.note
    bench.crash()
    new = bench.connect(left_session=note)
    await new.lock(permit)
    await new.unlock(permit)
    await new.close()
    assert bench.proxy.asked.count("kill-session") == 1
    assert read_note(note) is not None and read_note("nonsense") is None


# ---------------------------------------------------------------------------------------------- the link


async def test_another_host_key_than_before_is_refused_with_both(bench: NetconfBench) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    text = " ".join(other.export_public_key().decode().split()[:2])
    device = bench.connect(parameters={**bench.credentials.parameters, "ssh.host.key": text})
    with pytest.raises(UntrustedDevice) as caught:
        await device.facts(bench.book.read())
    await device.close()
    shown = asyncssh.import_public_key(bench.proxy.host_key).get_fingerprint()
    assert (caught.value.facts["presented"], caught.value.facts["expected"]) == (shown, other.get_fingerprint())
    assert bench.proxy.asked == []


async def test_a_key_is_learned_at_first_use_where_that_was_asked_for(bench: NetconfBench) -> None:
    parameters = {**bench.credentials.parameters, "ssh.host.key": "", "ssh.trust": "first-use"}
    device = bench.connect(parameters=parameters)
    assert device.learned == {}
    await device.facts(bench.book.read())
    assert device.learned == {"ssh.host.key": bench.proxy.host_key}
    await device.close()


async def test_a_device_that_dies_in_the_middle_of_a_write_leaves_the_step_open(bench: NetconfBench) -> None:
    """Its real sshd this time, without the proxy."""
    host, port = bench.device.address, bench.device.port
    device = bench.connect(address=f"{host}:{port}", parameters={"ssh.host.key": bench.device.host_key})
    permit = bench.book.write()
    schema = await bench.schema(device, permit)
    await device.lock(permit)
    bench.device.pause()
    writing = asyncio.create_task(device.write(permit, schema, ElementEdit(None, bench.new_element())))
    await asyncio.sleep(0.1)
    assert not writing.done()
    await asyncio.to_thread(bench.device.kill)
    with pytest.raises(Unreachable, match="ended the session"):
        await writing
    await device.close()
    assert [step.open for step in bench.book.steps] == [False, True]


async def test_a_large_configuration_is_read_whole(bench: NetconfBench) -> None:
    peers = [f"<name>peer-{number}</name><address>192.0.2.{number % 250}</address>" for number in range(1200)]
    config = "<config>" + "".join(f'<peer xmlns="{NAMESPACE}">{peer}</peer>' for peer in peers) + "</config>"
    client = await asyncio.to_thread(bench.direct)
    await asyncio.to_thread(client.edit_config, config, target="candidate")
    await asyncio.to_thread(client.commit)
    await asyncio.to_thread(client.close_session)
    device, permit = bench.connect(), bench.book.read()
    schema = await bench.schema(device, permit)
    found = await device.read_elements(permit, schema, ["peer"], running=True)
    assert sorted(e.attributes["name"] for e in found) == sorted(f"peer-{number}" for number in range(1200))
    await device.close()


async def test_one_session_serves_one_operation_after_the_other(bench: NetconfBench) -> None:
    logins = []
    for _ in range(3):
        device, permit = bench.connect(), bench.book.write()
        await device.lock(permit)
        await device.unlock(permit)
        await device.close()
        logins.append(bench.proxy.logins)
    device = bench.connect()
    await device.lock(bench.book.write())
    await device.close()
    logins.append(bench.proxy.logins)
    # The first may take two: netconfd now and then loses the first question, and the driver asks it anew.
    assert logins == [logins[0]] * 4 and logins[0] in (1, 2)
    device = bench.connect(left_session=bench.book.note)
    await device.lock(bench.book.write())
    await device.close()
    assert bench.proxy.logins > logins[0], "a session that held a lock is not used again"


async def test_a_kept_session_that_the_device_ended_is_replaced(bench: NetconfBench) -> None:
    device = bench.connect()
    await device.facts(bench.book.read())
    await device.close()
    before = bench.proxy.logins
    bench.device.restart()
    device = bench.connect()
    assert (await device.facts(bench.book.read())).host_name == "edge"
    await device.close()
    assert bench.proxy.logins > before


@pytest.mark.parametrize("parameters", [{"netconf.validate": "maybe"}, {"netconf.confirm.s": "0"}])
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="device parameter netconf"):
        NetconfDriver().connect(DEVICE, Credentials("192.0.2.1", parameters=parameters), None)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- elements


REALM = Element(
    "realm",
    {
        "id": "r9", "address-prefix": "10.9.0.0/16", "enabled": "false", "packet-loss": "0.25", "codec": "opus,PCMU",
        "media": "voice", "stand-alone": "true",
    },
    (Element("realm/limits", {"burst": "7"}),),
)  # fmt: skip


async def test_values_of_every_kind_come_and_go(bench: NetconfBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    validate(schema, REALM)
    await push(device, permit, schema, ElementEdit(None, REALM))
    found = await find(device, permit, schema, REALM, running=True)
    assert missing_from(schema, REALM, found) == [] and found is not None
    changed = replace(
        found,
        attributes={
            **{name: value for name, value in found.attributes.items() if name not in ("stand-alone", "packet-loss")},
            "parent-realm": "core", "media": "video", "codec": "PCMU,G722",
        },
        children=(Element("realm/limits", {"burst": "8", "calls-per-second": "9"}),),
    )  # fmt: skip
    await push(device, permit, schema, ElementEdit(found, changed))
    again = await find(device, permit, schema, REALM, running=True)
    assert again is not None and missing_from(schema, changed, again) == []
    assert not {"stand-alone", "packet-loss"} & set(again.attributes)
    await push(device, permit, schema, ElementEdit(again, replace(again, children=())))
    bare = await find(device, permit, schema, REALM, running=True)
    assert bare is not None and bare.children == ()
    await device.close()


async def test_another_client_sees_what_was_pushed(bench: NetconfBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    port = Element("interfaces.interface", {"name": "eth7", "type": "iana-if-type:l2vlan", "description": "a & <b>"})
    await push(device, permit, schema, ElementEdit(None, port))
    await device.close()
    client = await asyncio.to_thread(bench.direct)
    for source in ("running", "startup"):
        text = str(await asyncio.to_thread(client.get_config, source))
        assert "<name>eth7</name>" in text and "a &amp; &lt;b&gt;" in text and ":l2vlan</type>" in text
    await asyncio.to_thread(client.close_session)


async def test_singletons_lists_with_an_order_and_presence(bench: NetconfBench) -> None:
    """Debian's netconfd has a second container `system`, so that ours is told apart by its module."""
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    (before,) = await device.read_elements(permit, schema, ["opensdm-edge:system"], running=True)
    servers = {"dns-server": "192.0.2.53,192.0.2.54,192.0.2.99", "location": "here"}
    after = replace(before, attributes={**before.attributes, **servers})
    management = Element("system.management", {})
    await push(device, permit, schema, ElementEdit(before, after), ElementEdit(None, management))
    assert await device.read_elements(permit, schema, ["opensdm-edge:system"], running=True) == (after,)
    assert await device.read_elements(permit, schema, ["system.management"], running=True) == (management,)
    await push(device, permit, schema, ElementEdit(after, None), ElementEdit(management, None))
    assert await device.read_elements(permit, schema, ["opensdm-edge:system", "system.management"], running=True) == ()
    await device.close()


async def test_edits_may_refer_to_what_a_later_one_brings(bench: NetconfBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    peer = Element("peer", {"name": "p9", "address": "192.0.2.1", "realm": "r9"})
    await push(device, permit, schema, ElementEdit(None, peer), ElementEdit(None, REALM))
    assert await find(device, permit, schema, peer, running=True) == peer
    await device.close()


async def test_nothing_is_sent_for_an_edit_that_changes_nothing(bench: NetconfBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    await device.lock(permit)
    await device.write(permit, schema, ElementEdit(REALM, replace(REALM, attributes={**REALM.attributes, "id": "r9"})))
    await device.unlock(permit)
    await device.close()
    assert bench.writes() == len(bench.book.steps) == 2


async def test_no_secret_is_in_any_error(bench: NetconfBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await bench.schema(device, permit)
    secret = "not-for-your-eyes"
    await device.lock(permit)
    leak = Element("peer", {"name": f"{secret} !", "address": "192.0.2.1", "shared-secret": secret})
    with pytest.raises(Rejected) as caught:
        await device.write(permit, schema, ElementEdit(None, leak))
    peer = Element("peer", {"name": "p9", "address": "192.0.2.1", "shared-secret": secret})
    await device.write(permit, schema, ElementEdit(None, peer))
    await activate(device, permit)
    await device.unlock(permit)
    assert await find(device, permit, schema, peer, running=True) == peer
    await device.close()
    assert secret not in told(caught.value) and "xxxx" in caught.value.message


# ----------------------------------------------------------------------------------------------- schemas


async def test_modules_that_the_device_keeps_to_itself_come_from_a_folder(bench: NetconfBench, tmp_path: Path) -> None:
    bench.proxy.deny.add("get-schema")
    device, permit = bench.connect(), bench.book.read()
    with pytest.raises(Rejected, match=r"yang\.path"):
        await device.read_schema(permit)
    await device.close()
    (tmp_path / "opensdm-edge@2026-11-20.yang").write_text((YANG / "opensdm-edge.yang").read_text())
    for name in ("ietf-interfaces@2014-05-08", "iana-if-type@2014-05-08", "ietf-yang-types@2013-07-15"):
        shutil.copy(f"{SHIPPED_MODULES}/ietf/{name}.yang", tmp_path)
    device = bench.connect(parameters={**bench.credentials.parameters, "yang.path": str(tmp_path)})
    schema = await device.read_schema(permit)
    await device.close()
    assert {"realm", "system", "system.management", "interfaces.interface", "sip-interface/sip-port"} <= set(
        schema.types
    )
