"""The SBC driver against a device that misbehaves: silence, floods, endless pages, links that lead elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from opensdm.core.element import Element, ElementType, Schema
from opensdm.core.errors import DeviceSideLocked, Rejected, SdmError, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.core.ports import DeviceConnection, ElementEdit
from opensdm.drivers.acme_sbc import AcmeSbcDriver
from opensdm.testing.driver_bench import DEVICE, StepBook

Script = bytes | Callable[[str, asyncio.StreamWriter], Awaitable[None]]

ROUTE = ElementType("hostRoute", "host-route", ())
SCHEMA = Schema("acme_sbc", "1", {"hostRoute": ROUTE})
EDIT = ElementEdit(Element("hostRoute"), None)


def answer(data: str = "", *, status: int = 200, link: str = "", head: str = "", message: str = "") -> bytes:
    links = f"<links><link>{link}</link></links>" if link else "<links/>"
    said = f"<errorMessage>{message}</errorMessage>" if message else ""
    body = f"<response><data>{data}</data><messages>{said}</messages>{links}</response>".encode()
    return raw(body, status=status, head=head)


def raw(body: bytes, *, status: int = 200, head: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n{head}\r\n".encode() + body


class RudeDevice:
    """Answers each path with what `script` holds for it; the good manners it starts with can be replaced."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.script: dict[str, Script] = {
            "GET /rest/api/supportedversions": answer("<version>v1.1</version><latestVersion>v1.2</latestVersion>"),
            "POST /rest/v1.2/auth/token": answer("<accessToken>token-4711</accessToken>"),
            "GET /rest/v1.2/system/status": answer("<role>standalone</role><hostName>rude</hostName>"),
            "GET /rest/v1.2/system/version": answer("<version>1</version>"),
            "POST /rest/v1.2/configuration/lock": answer(status=204),
            "GET /rest/v1.2/configuration/elementTypes": answer(
                "<elementType><name>host-route</name></elementType><elementType>odd-type</elementType>"
            ),
        }
        self.server: asyncio.Server | None = None

    async def start(self) -> str:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self.server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next((int(x.split(":")[1]) for x in head.lower().split("\r\n") if "content-length" in x), 0)
                await reader.readexactly(length)
                method, target, _ = head.split("\r\n")[0].split(" ")
                self.asked.append(f"{method} {target}")
                reply = self.script.get(f"{method} {target.partition('?')[0]}", answer(status=404))
                if isinstance(reply, bytes):
                    writer.write(reply if b" 204 " not in reply[:20] else b"HTTP/1.1 204 X\r\n\r\n")
                    await writer.drain()
                else:
                    await reply(target, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Bench:
    def __init__(self, device: RudeDevice, address: str) -> None:
        self.device = device
        self.book = StepBook()
        credentials = Credentials(address, None, "user", "Secret-4711", {"transport": "http"})
        self.driver = AcmeSbcDriver()
        self.connection: DeviceConnection = self.driver.connect(DEVICE, credentials, self.book)

    async def facts(self) -> Any:
        return await self.connection.facts(self.book.read())

    async def routes(self) -> Any:
        return await self.connection.read_elements(self.book.read(), SCHEMA)

    async def locked(self) -> Any:
        permit = self.book.write()
        await self.connection.lock(permit)
        return permit

    def open_steps(self) -> list[bool]:
        return [step.open for step in self.book.steps]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    device = RudeDevice()
    bench = Bench(device, await device.start())
    yield bench
    await bench.connection.close()
    await bench.driver.close()
    await device.stop()


async def silence(target: str, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def half_an_answer(target: str, writer: asyncio.StreamWriter) -> None:
    writer.write(raw(b"<response>", length=5000))
    await writer.drain()
    writer.close()


async def drops(target: str, writer: asyncio.StreamWriter) -> None:
    """One byte at a time, each in time, the whole never."""
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


ELEMENTS = "GET /rest/v1.2/configuration/configElements"
STATUS = "GET /rest/v1.2/system/status"
MANAGEMENT = "PUT /rest/v1.2/configuration/management"
POLL = "GET /rest/v1.2/admin/asyncstatus"
ACCEPTED = answer(status=202, link="https://10.9.9.9/rest/v1.2/admin/asyncstatus")


def state(status: str, message: str = "") -> bytes:
    said = f"<errorMessage>{message}</errorMessage>" if message else ""
    return answer(f"<operationState><operation>save</operation><status>{status}</status>{said}</operationState>")


async def test_the_rude_device_can_behave(bench: Bench) -> None:
    assert (await bench.facts()).host_name == "rude"


# --------------------------------------------------------------------------------------------- reading


async def test_a_device_that_does_not_list_its_versions_is_spoken_to_in_the_oldest(bench: Bench) -> None:
    script = bench.device.script
    script["GET /rest/api/supportedversions"] = answer(status=404)
    script.update({k.replace("v1.2", "v1.1"): v for k, v in list(script.items())})
    await bench.facts()
    assert any("/rest/v1.1/" in path for path in bench.device.asked)


async def test_versions_we_do_not_speak_are_named(bench: Bench) -> None:
    bench.device.script["GET /rest/api/supportedversions"] = answer("<version>v9.0</version>")
    with pytest.raises(Rejected, match=r"speaks REST v9\.0; this driver speaks v1\.2, v1\.1"):
        await bench.facts()


async def test_a_login_without_a_token_is_no_login(bench: Bench) -> None:
    bench.device.script["POST /rest/v1.2/auth/token"] = answer()
    with pytest.raises(Rejected, match="login of user 'user'"):
        await bench.facts()


@pytest.mark.parametrize("manners", [silence, drops])
async def test_silence_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch, manners: Script) -> None:
    monkeypatch.setattr("opensdm.drivers.acme_http.ANSWER_S", 0.3)
    monkeypatch.setattr("opensdm.drivers.acme_http.CONNECT_S", 0.2)
    bench.device.script[STATUS] = manners
    with pytest.raises(Unreachable, match="did not answer in time"):
        await bench.facts()


async def test_an_answer_that_breaks_off_is_none(bench: Bench) -> None:
    bench.device.script[STATUS] = half_an_answer
    with pytest.raises(Unreachable, match="broke off"):
        await bench.facts()


async def test_a_flood_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opensdm.drivers.acme_http.MAX_BODY", 10_000)
    bench.device.script[STATUS] = raw(b"<response>" + b"x" * 20_000 + b"</response>")
    with pytest.raises(Unreachable, match="larger than 10000 bytes"):
        await bench.facts()


async def test_a_long_answer_is_read_whole(bench: Bench) -> None:
    route = "<configElement><elementType>host-route</elementType></configElement>"
    bench.device.script[ELEMENTS] = answer(route * 2000)
    assert len(await bench.routes()) == 2000


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (raw(b'<!DOCTYPE r [<!ENTITY e "x">]><response><data><role>&e;</role></data></response>'), "document type"),
        (raw(b"<html>log in first</html>"), "<html>"),
        (raw(b"\xff\xfe not xml"), "not well-formed"),
        (answer(status=302, head="Location: http://127.0.0.1:1/\r\n"), "status 302"),
        (answer(status=500, message="core dumped; password=Secret-4711"), "status 500: core dumped; password=xxxx"),
    ],
)
async def test_answers_that_are_none(bench: Bench, body: bytes, reason: str) -> None:
    bench.device.script[STATUS] = body
    with pytest.raises(Rejected, match=reason) as caught:
        await bench.facts()
    assert "Secret-4711" not in caught.value.message


async def test_pages_without_end_are_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.device.script[ELEMENTS] = answer(
        link="/rest/v1.2/configuration/configElements?elementType=host-route&amp;offset=1"
    )
    with pytest.raises(Rejected, match="have no end"):
        await bench.routes()
    monkeypatch.setattr("opensdm.drivers.acme_session.MAX_PAGES", 5)
    before = len(bench.device.asked)

    async def ever_further(target: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(link=f"/rest/v1.2/configuration/configElements?offset={len(bench.device.asked)}"))

    bench.device.script[ELEMENTS] = ever_further
    with pytest.raises(Rejected, match="have no end"):
        await bench.routes()
    assert len(bench.device.asked) - before < 10


async def test_links_never_lead_elsewhere(bench: Bench) -> None:
    bench.device.script[ELEMENTS] = answer(link="https://192.0.2.99/elsewhere")
    with pytest.raises(Rejected, match="leads out of its REST API"):
        await bench.routes()


async def test_types_without_metadata_are_left_out(bench: Bench) -> None:
    metadata = "GET /rest/v1.2/configuration/elementTypes/metadata"

    async def only_one(target: str, writer: asyncio.StreamWriter) -> None:
        known = "<attributeMetadata><name>dest-network</name><key>true</key></attributeMetadata>"
        writer.write(answer(known) if "host-route" in target else answer(status=404))

    bench.device.script[metadata] = only_one
    schema = await bench.connection.read_schema(bench.book.read())
    assert list(schema.types) == ["hostRoute"] and schema.types["hostRoute"].keys == ("destNetwork",)
    bench.device.script[metadata] = answer(status=500)
    with pytest.raises(Rejected, match="status 500"):
        await bench.connection.read_schema(bench.book.read())


async def test_an_element_of_a_type_it_did_not_list_is_refused(bench: Bench) -> None:
    bench.device.script[ELEMENTS] = answer("<configElement><elementType>surprise</elementType></configElement>")
    with pytest.raises(Rejected, match="surprise, a type it did not list"):
        await bench.routes()


# --------------------------------------------------------------------------------------------- writing


async def test_a_write_that_is_not_answered_leaves_its_step_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opensdm.drivers.acme_sbc.WRITE_LIMIT_S", 0.7)
    permit = await bench.locked()
    bench.device.script["DELETE /rest/v1.2/configuration/configElements"] = silence
    with pytest.raises(Unreachable, match=r"did not answer within 0\.7 s"):
        await bench.connection.write(permit, SCHEMA, EDIT)
    assert bench.open_steps() == [False, True]


async def test_what_never_left_settles_its_step_unless_something_before_is_on_its_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit = await bench.locked()
    await bench.device.stop()
    await bench.connection._units.open_unit.close()  # type: ignore[attr-defined]
    with pytest.raises(Unreachable, match="no connection"):
        await bench.connection.write(permit, SCHEMA, EDIT)
    assert bench.open_steps() == [False, False]


async def test_a_write_cut_off_keeps_later_steps_open_for_its_time(bench: Bench) -> None:
    permit = await bench.locked()
    bench.device.script["DELETE /rest/v1.2/configuration/configElements"] = half_an_answer
    with pytest.raises(Unreachable):
        await bench.connection.write(permit, SCHEMA, EDIT)
    await bench.device.stop()
    with pytest.raises(Unreachable, match="no connection"):
        await bench.connection.write(permit, SCHEMA, EDIT)
    assert bench.open_steps() == [False, True, True]


async def test_a_job_without_a_link_is_an_open_end(bench: Bench) -> None:
    permit = await bench.locked()
    bench.device.script[MANAGEMENT] = answer(status=202)
    with pytest.raises(Unreachable, match="does not say where to ask"):
        await bench.connection.save(permit)
    assert bench.open_steps() == [False, True]


async def test_a_job_that_never_ends_is_an_open_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opensdm.drivers.acme_sbc.JOB_LIMIT_S", 1.0)
    monkeypatch.setattr("opensdm.drivers.acme_sbc.JOB_MARGIN_S", 0.5)
    permit = await bench.locked()
    bench.device.script |= {MANAGEMENT: ACCEPTED, POLL: state("inProgress")}
    with pytest.raises(Unreachable, match="still at work"):
        await bench.connection.save(permit)
    assert bench.open_steps() == [False, True]


async def test_a_job_is_polled_past_hiccups_at_growing_intervals(bench: Bench) -> None:
    permit = await bench.locked()
    polls = 0

    async def hiccups(target: str, writer: asyncio.StreamWriter) -> None:
        nonlocal polls
        polls += 1
        if polls in (1, 3):
            writer.close()
        else:
            writer.write(state("inProgress" if polls < 5 else "success"))

    bench.device.script |= {MANAGEMENT: ACCEPTED, POLL: hiccups}
    await bench.connection.save(permit)
    assert polls == 5 and bench.open_steps() == [False, False]


async def test_polls_that_nobody_answers_end(bench: Bench) -> None:
    permit = await bench.locked()
    bench.device.script |= {MANAGEMENT: ACCEPTED, POLL: half_an_answer}
    with pytest.raises(Unreachable):
        await bench.connection.save(permit)
    assert len([path for path in bench.device.asked if "asyncstatus" in path]) == 5
    assert bench.open_steps() == [False, True]


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (answer(status=423, message="a job is running"), DeviceSideLocked, "a job is running"),
        (answer(status=400, message="no such action"), Rejected, "not valid there: no such action"),
        (answer(status=405), Rejected, "does not know this call"),
    ],
)
async def test_a_job_that_is_refused(bench: Bench, reply: bytes, error: type[SdmError], words: str) -> None:
    permit = await bench.locked()
    bench.device.script[MANAGEMENT] = reply
    with pytest.raises(error, match=words):
        await bench.connection.save(permit)
    assert not any(bench.open_steps())


async def test_what_a_job_says_of_its_failure_is_told_without_secrets(bench: Bench) -> None:
    permit = await bench.locked()
    bench.device.script |= {MANAGEMENT: ACCEPTED, POLL: state("fail", "disk full for Secret-4711")}
    with pytest.raises(Rejected, match="could not save the configuration: disk full for xxxx"):
        await bench.connection.save(permit)
    assert "full for xxxx" in (await bench.connection.verify(permit) or "")
