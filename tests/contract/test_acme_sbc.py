"""The driver for Acme Packet SBCs, against the virtual SBC over real sockets with TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from lab.proxy import CuttingProxy
from opensdm.core.element import Element
from opensdm.core.errors import DeviceSideLocked, InvalidRequest, LockLost, Rejected, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.core.ports import ElementEdit
from opensdm.drivers.acme_sbc import AcmeSbcDriver
from opensdm.simulator import VirtualSbc
from opensdm.testing.driver import DriverContract
from opensdm.testing.driver_bench import DEVICE, find, push, told
from tests.contract.acme_bench import PASSWORD, USER, AcmeBench, Start, benches


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with benches() as launch:
        yield launch


@pytest.fixture
async def bench(start: Start) -> AcmeBench:
    return await start()


class TestAcmeSbc(DriverContract):
    """The contract."""


class TestAcmeSbcPlain(DriverContract):
    """The contract without TLS."""

    @pytest.fixture
    async def bench(self, start: Start) -> AcmeBench:
        return await start(plain_http=True)


# ----------------------------------------------------------------------------------- transport and login


async def test_a_certificate_nobody_vouches_for_is_refused(bench: AcmeBench) -> None:
    device = bench.connect(parameters={})
    with pytest.raises(Unreachable, match=r"certificate is not trusted.*tls\.ca"):
        await device.facts(bench.book.read())
    await device.close()
    assert bench.sbc.journal.entries() == []


async def test_certificates_are_not_checked_where_the_device_says_so(bench: AcmeBench) -> None:
    device = bench.connect(parameters={"tls.verify": "false"})
    assert (await device.facts(bench.book.read())).host_name == "edge-a"
    await device.close()


@pytest.mark.parametrize("parameters", [{"tls.verify": "maybe"}, {"tls.ca": "no certificate"}, {"transport": "telnet"}])
def test_transport_parameters_that_make_no_sense_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="device parameter"):
        AcmeSbcDriver().connect(DEVICE, Credentials("192.0.2.1", parameters=parameters), None)  # type: ignore[arg-type]


async def test_the_port_may_be_a_parameter(bench: AcmeBench) -> None:
    host, _, port = bench.credentials.address.partition(":")
    device = bench.connect(address=host, parameters={**bench.credentials.parameters, "port": port})
    assert (await device.facts(bench.book.read())).role == "active"
    await device.close()


async def test_a_device_that_speaks_https_only_says_so(start: Start) -> None:
    bench = await start()
    sbc = VirtualSbc("edge-b", username=USER, password=PASSWORD)
    await sbc.start("127.0.0.1", 0, plain_port=0)
    assert sbc.plain_address is not None
    device = bench.connect(address="{}:{}".format(*sbc.plain_address), parameters={"transport": "http"})
    with pytest.raises(Rejected, match="HTTPS only"):
        await device.facts(bench.book.read())
    await device.close()
    await sbc.stop()


async def test_a_login_that_is_no_administrator_may_read_and_not_write(start: Start) -> None:
    bench = await start(viewer=("looker", "Viewer-pw-4711"))
    device, permit = bench.connect(username="looker", password="Viewer-pw-4711"), bench.book.write()
    assert (await device.facts(permit)).role == "active"
    with pytest.raises(Rejected, match="not an administrator"):
        await device.lock(permit)
    await device.close()


async def test_a_token_the_device_forgot_is_replaced_once(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    await device.facts(permit)
    bench.sbc.tokens.revoke_all()
    await device.facts(permit)
    bench.sbc.tokens.revoke_all()
    await device.lock(permit)
    await device.unlock(permit)
    await device.close()
    assert [e.status for e in bench.sbc.journal.entries("lock")] == [204]
    assert len(bench.sbc.journal.entries("token")) == 3


async def test_a_lock_lost_with_its_token_ends_the_writing(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    bench.sbc.tokens.revoke_all()
    with pytest.raises(Rejected, match="ended our session, and with it its lock"):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    with pytest.raises(Rejected, match="ended our session, and with it its lock"):
        await device.save(permit)
    await device.lock(permit)
    await device.restore(permit, "running")
    await device.unlock(permit)
    await device.close()


async def test_a_lock_lost_while_reading_is_noticed_before_the_next_write(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    bench.sbc.tokens.revoke_all()
    await device.read_elements(permit, schema, ["realmConfig"])
    with pytest.raises(Rejected, match="ended our session, and with it its lock"):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    assert bench.writes() == 1
    await device.close()


async def test_the_token_is_renewed_and_the_lock_kept_over_its_life(start: Start) -> None:
    """The push takes longer than a token lives; each renewal under the lock is a step of its own."""
    bench = await start(token_lifetime_s=0.8, job_delay_s=0.5, parameters={"token.life": "0.8"})
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await push(device, permit, schema, ElementEdit(None, bench.new_element()))
    assert await find(device, permit, schema, bench.new_element(), running=True) is not None
    await device.close()
    renewals = [e for e in bench.sbc.journal.entries("token") if e.subject.startswith("renewed")]
    assert len(renewals) >= 2 and {e.status for e in renewals} == {200}
    assert [step for step in bench.book.steps if step.open] == []


async def test_a_fenced_push_does_not_renew_its_token_either(start: Start) -> None:
    bench = await start(token_lifetime_s=0.4, parameters={"token.life": "0.0"})
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    bench.book.fence_at = len(bench.book.steps)
    before = len(bench.sbc.journal.entries())
    with pytest.raises(LockLost):
        await device.read_elements(permit, schema)
    await device.close()
    assert len(bench.sbc.journal.entries()) == before


async def test_a_foreign_lock_on_the_device_is_told_with_its_words(bench: AcmeBench) -> None:
    bench.sbc.control({"console_lock": True})
    device = bench.connect()
    with pytest.raises(DeviceSideLocked, match="held by console") as caught:
        await device.lock(bench.book.write())
    await device.close()
    assert "console" in caught.value.facts["deviceSays"]


async def test_a_lock_our_own_server_left_is_told_with_its_end(bench: AcmeBench) -> None:
    """Another unit's token cannot be used to end it, so the message says until when it may last."""
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    await device.close()
    bench.sbc.tokens.revoke_all()
    bench.sbc.control({"console_lock": True})
    following = bench.connect()
    with pytest.raises(DeviceSideLocked, match=r"an earlier session of this server may hold it, until 20\d\d-"):
        await following.lock(permit)
    await following.close()


# ------------------------------------------------------------------------------------------------- units


async def test_the_active_unit_is_found_behind_a_standby(start: Start) -> None:
    active = await start()
    standby = await start(secondary=active)
    standby.sbc.control({"role": "standby"})
    device, permit = standby.connect(), standby.book.write()
    schema = await device.read_schema(permit)
    await push(device, permit, schema, ElementEdit(None, standby.new_element()))
    await device.close()
    assert standby.writes() == 0 and active.writes() == 6


async def test_the_secondary_is_tried_when_the_primary_is_down(start: Start) -> None:
    active = await start()
    down = await start(secondary=active)
    await down.sbc.stop()
    device = down.connect()
    assert (await device.facts(down.book.read())).role == "active"
    await device.close()


async def test_a_pair_without_an_active_unit_is_read_and_not_written(start: Start) -> None:
    other = await start()
    bench = await start(secondary=other)
    for each in (other, bench):
        each.sbc.control({"role": "standby"})
    device, permit = bench.connect(), bench.book.write()
    assert (await device.facts(permit)).role == "standby"
    with pytest.raises(Rejected, match="is standby; only an active unit is written to"):
        await device.lock(permit)
    await device.close()
    assert bench.writes() == other.writes() == 0 and bench.book.steps == []


async def test_a_unit_that_became_standby_is_left_for_the_other(start: Start) -> None:
    other = await start()
    bench = await start(secondary=other)
    other.sbc.control({"role": "standby"})
    device, permit = bench.connect(), bench.book.write()
    await device.facts(permit)
    bench.sbc.control({"role": "standby"})
    other.sbc.control({"role": "active"})
    await device.lock(permit)
    await device.unlock(permit)
    await device.close()
    assert (bench.writes(), other.writes()) == (0, 2)


async def test_a_unit_that_becomes_standby_under_the_lock_is_not_written(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    bench.sbc.control({"role": "standby"})
    with pytest.raises(Rejected, match="standby"):
        await device.save(permit)
    await device.close()
    assert bench.writes() == 1


async def test_both_units_down_names_both(start: Start) -> None:
    other = await start()
    bench = await start(secondary=other)
    await other.sbc.stop()
    await bench.sbc.stop()
    device = bench.connect()
    with pytest.raises(Unreachable) as caught:
        await device.facts(bench.book.read())
    assert bench.credentials.address in caught.value.message
    assert other.credentials.address in caught.value.message


# ---------------------------------------------------------------------------------------------- elements


async def test_more_than_a_page_of_elements_is_read_by_following_links(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    for number in range(205):
        route = {"destNetwork": f"198.51.100.{number + 1}", "netmask": "255.255.255.255", "gateway": "192.0.2.1"}
        await device.write(permit, schema, ElementEdit(None, Element("hostRoute", route)))
    found = await device.read_elements(permit, schema, ["hostRoute"])
    assert len(found) == 205 and len({e.attributes["destNetwork"] for e in found}) == 205
    await device.unlock(permit)
    await device.close()


async def test_a_singleton_is_made_bare_and_then_filled(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    settings = Element("sipConfig", {"operationMode": "dialog", "homeRealmId": "core", "options": "max-udp-length=0,a"})
    await push(device, permit, schema, ElementEdit(None, settings))
    writes = [(e.method, e.subject) for e in bench.sbc.journal.entries("element")]
    assert writes == [("POST", "sip-config"), ("PUT", "sip-config")]
    (found,) = await device.read_elements(permit, schema, ["sipConfig"], running=True)
    assert found.attributes["homeRealmId"] == "core" and found.attributes["options"] == "max-udp-length=0,a"
    changed = replace(found, attributes={**found.attributes, "maxTimer": "5000"})
    await push(device, permit, schema, ElementEdit(found, changed), ElementEdit(changed, None))
    assert await device.read_elements(permit, schema, ["sipConfig"], running=True) == ()
    await device.close()


async def test_rows_that_the_device_spells_as_a_list_come_and_go(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    row = Element("realmConfig/networkInterfaceId", {"name": "s1p0", "subPortId": "0", "family": "4"})
    new = Element("realmConfig", {"id": "r9", "mrInRealm": "enabled"}, (row,))
    await push(device, permit, schema, ElementEdit(None, new))
    realm = bench.sbc.stores.running.as_json()
    stored = next(e["attributes"] for e in realm if e["attributes"].get("identifier") == ["r9"])
    assert (stored["network-interfaces"], stored["mm-in-realm"]) == (["s1p0:0.4"], ["enabled"])
    before = await find(device, permit, schema, new, running=True)
    assert before is not None and before.children == (row,)
    await push(device, permit, schema, ElementEdit(before, replace(before, children=())))
    after = await find(device, permit, schema, new, running=True)
    assert after is not None and after.children == ()
    await device.close()


async def test_an_element_with_many_and_empty_keys_is_changed_and_deleted(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    keys = {
        "realmId": "core", "sourceAddress": "192.0.2.0/24", "destinationAddress": "0.0.0.0",
        "applicationProtocol": "", "transportProtocol": "UDP",
    }  # fmt: skip
    rule = Element("accessControl", {**keys, "access": "deny"})
    policy = Element(
        "localPolicy",
        {"fromAddress": "*", "toAddress": "100,200", "sourceRealm": "access,core"},
        (Element("localPolicy/policyAttribute", {"nextHop": "softswitch.example", "realm": "core"}),),
    )
    await push(device, permit, schema, ElementEdit(None, rule), ElementEdit(None, policy))
    for wanted in (rule, policy):
        found = await find(device, permit, schema, wanted, running=True)
        assert found is not None
        changed = replace(found, attributes={**found.attributes, "description": "changed"})
        await push(device, permit, schema, ElementEdit(found, changed), ElementEdit(changed, None))
        assert await find(device, permit, schema, wanted, running=True) is None
    await device.close()


async def test_what_is_gone_on_the_device_is_a_rejection(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    with pytest.raises(Rejected, match="no such version, type or element: There is no sip-interface"):
        await device.write(permit, schema, ElementEdit(bench.new_element(), None))
    await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    with pytest.raises(Rejected, match="is there already: sip-interface realm-id=core exists"):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    await device.close()


async def test_a_cut_write_may_have_landed_and_reading_tells(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    await bench.cut_next_edit()
    with pytest.raises(Unreachable, match=r"broke off|connection was lost"):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    assert await find(device, permit, schema, bench.new_element(), running=False) is not None
    await device.close()


async def test_the_end_of_a_job_whose_answer_was_lost_is_waited_for(start: Start) -> None:
    """A push that was cut off in its verify is taken back, though the device refuses a second job meanwhile."""
    bench = await start(plain_http=True, job_delay_s=0.3)
    host, _, port = bench.credentials.address.rpartition(":")
    async with CuttingProxy(host, int(port)) as proxy:
        device, permit = bench.connect(address=f"127.0.0.1:{proxy.listens_at}"), bench.book.write()
        schema = await device.read_schema(permit)
        await device.lock(permit)
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        # Its role is asked for first.
        came = proxy.hold_at(2, "from_device")
        verify = asyncio.create_task(device.verify(permit))
        await asyncio.wait_for(came.wait(), 30)
        proxy.cut()
        proxy.behave()
        with pytest.raises(Unreachable):
            await verify
        await device.restore(permit, "running")
        assert [entry.status for entry in bench.sbc.journal.entries("management")] == [202, 423, 202]
        assert await find(device, permit, schema, bench.new_element(), running=False) is None
        await device.unlock(permit)
        await device.close()


async def test_no_secret_is_in_any_error(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    leak = Element("sessionAgent", {"hostname": f"x y {PASSWORD}"})
    with pytest.raises(Rejected) as caught:
        await device.write(permit, schema, ElementEdit(None, leak))
    assert PASSWORD not in told(caught.value) and "xxxx" in caught.value.message
    await device.close()
