"""The driver for command lines over SSH, against a real FRR router behind its own sshd.

A relay on the way counts what reaches the router; side doors (`vtysh`, the kernel) show what the router holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest

from lab.frr import FrrRouter
from opensdm.core.element import Element
from opensdm.core.errors import LockLost, Rejected, Unreachable, UntrustedDevice
from opensdm.core.ports import ElementEdit
from opensdm.drivers.cli_definition import Limits
from opensdm.drivers.ssh import HOST_KEY, TRUST
from opensdm.testing.driver import DriverContract
from opensdm.testing.driver_bench import find, push, told
from tests.cli_relay import CliRelay
from tests.frr_bench import FRR, SEED, FrrBench
from tests.frr_reset import SharedRouter
from tests.lab_fixtures import FrrPool


@pytest.fixture(scope="module")
def shared(frr_pool: FrrPool) -> SharedRouter:
    return SharedRouter(frr_pool.take()[0], SEED)


@pytest.fixture
def router(shared: SharedRouter) -> FrrRouter:
    return shared.reset()


@pytest.fixture
async def relay(router: FrrRouter) -> AsyncIterator[CliRelay]:
    relay = CliRelay(router)
    await relay.start()
    yield relay
    await relay.stop()


@pytest.fixture
async def bench(relay: CliRelay) -> AsyncIterator[FrrBench]:
    bench = FrrBench(relay)
    yield bench
    await bench.close()


class TestFrr(DriverContract):
    """The contract."""

    push_steps = 2


ROUTE = Element("staticRoute", {"prefix": "198.51.100.0/24", "gateway": "blackhole", "distance": "1"})


# ------------------------------------------------------------------------------------------ what the router does


async def test_a_static_route_lands_in_the_kernel_and_goes_when_deleted(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await push(device, permit, schema, ElementEdit(None, ROUTE))
    assert bench.router.routed("198.51.100.0/24")
    assert any(r.startswith("blackhole 198.51.100.0/24 ") for r in bench.router.kernel_routes())
    assert "ip route 198.51.100.0/24 blackhole" in bench.router.saved.read_text()
    before = await find(device, permit, schema, ROUTE, running=True)
    assert before == ROUTE
    await push(device, permit, schema, ElementEdit(before, None))
    assert not bench.router.routed("198.51.100.0/24")
    assert "198.51.100.0/24" not in bench.router.saved.read_text()
    await device.close()


async def test_another_distance_takes_the_old_ones_place(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    farther = replace(ROUTE, attributes={**ROUTE.attributes, "distance": "30", "tag": "7"})
    await device.write(permit, schema, ElementEdit(None, ROUTE))
    await device.write(permit, schema, ElementEdit(ROUTE, farther))
    assert await find(device, permit, schema, ROUTE, running=True) == farther
    assert bench.router.vtysh("show running-config").count("198.51.100.0/24") == 1
    await device.write(permit, schema, ElementEdit(farther, ROUTE))
    assert await find(device, permit, schema, ROUTE, running=True) == ROUTE
    await device.close()


ELEMENTS = [
    Element("staticRoute", {"prefix": "198.51.100.0/24", "gateway": "Null0", "distance": "20", "tag": "5"}),
    Element("staticRouteIpv6", {"prefix": "2001:db8:9::/48", "gateway": "2001:db8::1 eth0", "distance": "1"}),
    Element(
        "prefixList", {"name": "P1", "description": "what we announce"},
        (
            Element("prefixList/entry", {"seq": "5", "action": "permit", "prefix": "192.0.2.0/24", "le": "32"}),
            Element("prefixList/entry", {"seq": "10", "action": "deny", "prefix": "any"}),
        ),
    ),
    Element(
        "prefixListIpv6", {"name": "P6"},
        (Element("prefixListIpv6/entry", {"seq": "5", "action": "permit", "prefix": "2001:db8::/32", "ge": "48"}),),
    ),
    Element(
        "accessList", {"name": "A1", "remark": "who may come in"},
        (
            Element("accessList/entry", {"seq": "5", "action": "permit", "match": "192.0.2.0/24 exact-match"}),
            Element("accessList/entry", {"seq": "10", "action": "deny", "match": "any"}),
        ),
    ),
    Element(
        "routeMap",
        {"name": "R1", "seq": "10", "action": "permit", "matchPrefixList": "P1", "setMetric": "5"},
    ),
    Element("system", {"password": "Terminal-pw-1", "enablePassword": "Enable-pw-1", "syslogLevel": "warnings"}),
]  # fmt: skip
CHANGES = {
    "staticRoute": {"tag": "6"},
    "staticRouteIpv6": {"distance": "200"},
    "prefixList": {"description": "what we do not announce"},
    "prefixListIpv6": {"description": "new"},
    "accessList": {"remark": "who may not"},
    "routeMap": {"action": "deny", "setMetric": "7", "matchPrefixList": ""},
    "system": {"syslogLevel": "errors", "enablePassword": ""},
}


@pytest.mark.parametrize("new", ELEMENTS, ids=lambda e: e.path)
async def test_every_type_is_created_changed_and_deleted(bench: FrrBench, new: Element) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    untouched = await device.read_elements(permit, schema)
    await device.write(permit, schema, ElementEdit(None, new))
    assert await find(device, permit, schema, new, running=True) == new
    values = {k: v for k, v in {**new.attributes, **CHANGES[new.path]}.items() if v}
    changed = replace(new, attributes=values, children=new.children[1:] if len(new.children) > 1 else new.children)
    await device.write(permit, schema, ElementEdit(new, changed))
    found = await find(device, permit, schema, new, running=True)
    assert found is not None and (dict(found.attributes), found.children) == (values, changed.children)
    await device.write(permit, schema, ElementEdit(changed, None))
    assert await device.read_elements(permit, schema) == untouched
    await device.close()


async def test_what_the_definition_does_not_declare_survives_an_edit(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    eth0 = Element("interface", {"name": "eth0"})
    before = await find(device, permit, schema, eth0, running=True)
    assert before is not None
    after = replace(before, attributes={**before.attributes, "description": "to the core"})
    await push(device, permit, schema, ElementEdit(before, after))
    assert await find(device, permit, schema, eth0, running=True) == after
    assert " bandwidth 1000\n" in bench.router.vtysh("show running-config")
    await device.close()


# --------------------------------------------------------------------------------------------------- refusals


async def test_a_refused_line_is_named_and_those_before_it_are_taken_back(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    with pytest.raises(Rejected) as caught:
        await device.write(permit, schema, ElementEdit(None, bench.refused_element()))
    said = caught.value.message
    assert "refused 'ip address 192.0.2.9/33' (line 3 of 3): % Unknown command" in said and "taken back" in said
    assert "osd8" not in bench.router.vtysh("show running-config")
    assert [step.open for step in bench.book.steps] == [False]
    await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    await device.close()


async def test_a_change_that_is_refused_half_way_leaves_what_was_there(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    eth0 = await find(device, permit, schema, Element("interface", {"name": "eth0"}), running=True)
    assert eth0 is not None
    bad = Element("interface/ipAddress", {"address": "192.0.2.300/24"})
    after = Element("interface", {"name": "eth0", "description": "changed", "shutdown": "disabled"}, (bad,))
    with pytest.raises(Rejected, match="taken back"):
        await device.write(permit, schema, ElementEdit(eth0, after))
    assert await find(device, permit, schema, eth0, running=True) == eth0
    await device.close()


async def test_what_could_not_be_taken_back_is_said(bench: FrrBench) -> None:
    """The address is gone by other hands when it is to be taken back; the router will not remove it again."""
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    addresses = tuple(Element("interface/ipAddress", {"address": f"192.0.2.9/{length}"}) for length in (24, 33))

    def by_others() -> None:
        # Done, and yet exit code 1: the interface is known to FRR only.
        with suppress(RuntimeError):
            bench.router.vtysh("configure terminal", "interface osd8", "no ip address 192.0.2.9/24")

    bench.relay.before_answer("/33$", by_others)
    with pytest.raises(Rejected) as caught:
        await device.write(permit, schema, ElementEdit(None, Element("interface", {"name": "osd8"}, addresses)))
    said = caught.value.message
    assert "refused 'ip address 192.0.2.9/33' (line 3 of 3)" in said
    assert "could not be taken back: 'ip address 192.0.2.9/24'" in said
    await device.close()


@pytest.mark.parametrize("text", ["what?", "tab\there", "line\nend", "bell\x07"])
async def test_what_would_steer_the_line_editor_is_never_typed(bench: FrrBench, text: str) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    with pytest.raises(Rejected, match="command line"):
        await device.write(permit, schema, ElementEdit(None, Element("interface", {"name": "o9", "description": text})))
    await device.close()
    assert bench.writes() == 0 and bench.book.steps == []


async def test_no_secret_is_in_a_refusal(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    secret = "Terminal-pw-4711 and more"
    with pytest.raises(Rejected) as caught:
        await device.write(permit, schema, ElementEdit(None, Element("system", {"password": secret})))
    assert "Terminal-pw-4711" not in told(caught.value) and "xxxx" in caught.value.message
    await device.close()


async def test_a_save_that_fails_is_said_in_the_devices_words(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    await bench.fail_next_job("save")
    with pytest.raises(Rejected, match=r"could not save the configuration: .*Permission denied"):
        await device.save(permit)
    assert [step.open for step in bench.book.steps] == [False]
    await device.close()


# -------------------------------------------------------------------------------------------------- connection


async def test_a_cut_in_the_middle_of_an_edit_leaves_the_step_open_and_reading_tells(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    bench.relay.cut_on("^ip address ")
    with pytest.raises(Unreachable):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    assert [step.open for step in bench.book.steps] == [True]
    left = await find(device, permit, schema, bench.new_element(), running=True)
    assert left is not None and left.attributes["description"] == "new one"
    await device.write(permit, schema, ElementEdit(left, None))
    assert await find(device, permit, schema, bench.new_element(), running=True) is None
    await device.close()


async def test_a_cut_before_the_first_line_of_an_edit_settles_the_step(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    bench.relay.cut_in_answer("^configure terminal$", 5)
    with pytest.raises(Unreachable):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    assert [step.open for step in bench.book.steps] == [False] and bench.writes() == 0
    await device.close()


async def test_a_line_that_is_not_answered_in_time_leaves_the_step_open(relay: CliRelay) -> None:
    bench = FrrBench(relay, replace(FRR, limits=Limits(command_s=1.0)))
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    relay.stall_on("^description ")
    with pytest.raises(Unreachable, match="did not answer within 1 s"):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    assert [step.open for step in bench.book.steps] == [True]
    assert relay.lines[-1] == "description new one"
    await bench.close()


async def test_a_slow_device_is_waited_for(bench: FrrBench) -> None:
    bench.relay.delay_s = 0.15
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await push(device, permit, schema, ElementEdit(None, ROUTE))
    assert await find(device, permit, schema, ROUTE, running=True) == ROUTE
    await device.close()


@pytest.mark.parametrize("piece", [1, 7])
async def test_answers_may_come_in_any_pieces(bench: FrrBench, piece: int) -> None:
    device, permit = bench.connect(), bench.book.read()
    schema = await device.read_schema(permit)
    whole = await device.read_elements(permit, schema)
    bench.relay.piece = piece
    assert await device.read_elements(permit, schema) == whole != ()
    await device.close()


async def test_a_line_longer_than_any_terminal_is_wide_arrives_whole(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    long = Element("interface", {"name": "osd7", "description": "word " * 47 + "end", "shutdown": "disabled"})
    await device.write(permit, schema, ElementEdit(None, long))
    assert await find(device, permit, schema, long, running=True) == long
    with pytest.raises(Rejected, match="longer than this command line takes"):
        await device.write(
            permit, schema, ElementEdit(None, Element("interface", {"name": "o", "description": "x" * 990}))
        )
    await device.close()


async def test_an_answer_that_is_cut_short_is_no_configuration(bench: FrrBench) -> None:
    """A prompt alone proves nothing: what is missing would count as deleted."""
    definition = replace(FRR, show=replace(FRR.show, command="show version"))
    cut = FrrBench(bench.relay, definition)
    device, permit = cut.connect(), cut.book.read()
    with pytest.raises(Unreachable, match="not complete"):
        await device.read_elements(permit, await device.read_schema(permit))
    await cut.close()


async def test_an_endless_answer_is_not_kept(bench: FrrBench) -> None:
    endless = FrrBench(bench.relay, replace(FRR, limits=Limits(answer=600)))
    device, permit = endless.connect(), endless.book.read()
    with pytest.raises(Unreachable, match="more than 600 characters"):
        await device.facts(permit)
    await endless.close()


async def test_a_fence_between_edit_and_save_leaves_the_save_out(bench: FrrBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    bench.book.fence_at = 1
    with pytest.raises(LockLost):
        await push(device, permit, schema, ElementEdit(None, ROUTE))
    assert "198.51.100.0/24" in bench.router.vtysh("show running-config")
    assert "198.51.100.0/24" not in bench.router.saved.read_text()
    await device.close()


async def test_a_session_is_kept_for_the_next_operation(bench: FrrBench) -> None:
    for _ in range(3):
        device = bench.connect()
        await device.facts(bench.book.read())
        await device.close()
    assert bench.relay.sessions == 1
    other = bench.connect(password="not-the-password-4711")
    with pytest.raises(Rejected):
        await other.facts(bench.book.read())


async def test_a_kept_session_that_ended_unnoticed_is_replaced(bench: FrrBench) -> None:
    first = bench.connect()
    await first.facts(bench.book.read())
    await first.close()
    bench.relay.cut_in_answer("^show version$", 0)
    second = bench.connect()
    assert (await second.facts(bench.book.read())).software_version == "8.4.4"
    await second.close()
    assert bench.relay.sessions == 2


async def test_a_session_left_inside_a_block_is_not_kept(relay: CliRelay) -> None:
    bench = FrrBench(relay, replace(FRR, limits=Limits(command_s=1.0)))
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    relay.stall_on("^description ")
    with pytest.raises(Unreachable):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    await device.close()
    following = bench.connect()
    await following.write(permit, schema, ElementEdit(None, ROUTE))
    await following.close()
    assert relay.sessions == 2
    await bench.close()


async def test_the_routers_own_key_is_checked(bench: FrrBench, router: FrrRouter) -> None:
    """Straight to the router's sshd, without the relay."""
    unknown = bench.connect(address=router.address, parameters={})
    with pytest.raises(UntrustedDevice):
        await unknown.facts(bench.book.read())
    first = bench.connect(address=router.address, parameters={TRUST: "first-use"})
    assert (await first.facts(bench.book.read())).software_version == "8.4.4"
    assert first.learned == {HOST_KEY: router.host_key}
    other = bench.connect(address=router.address, parameters={HOST_KEY: bench.relay.host_key})
    with pytest.raises(UntrustedDevice, match="another host key"):
        await other.facts(bench.book.read())
