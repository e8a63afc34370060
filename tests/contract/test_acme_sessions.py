"""The SBC driver's sessions: what is noted of them, units kept between operations, certificates pinned, many pages."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from opensdm.core.difference import missing_from
from opensdm.core.element import Element
from opensdm.core.errors import DeviceSideLocked, InvalidRequest, LockLost, Unreachable, UntrustedDevice
from opensdm.core.inventory import Credentials
from opensdm.core.ports import ElementEdit
from opensdm.drivers.acme_left import read_note
from opensdm.drivers.acme_sbc import AcmeSbcDriver
from opensdm.drivers.acme_tls import fingerprint
from opensdm.simulator import VirtualSbc
from opensdm.testing.driver_bench import DEVICE, find, push
from tests.contract.acme_bench import PASSWORD, USER, AcmeBench, Start, benches

FIRST_USE = {"tls.verify": "first-use"}


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with benches() as launch:
        yield launch


@pytest.fixture
async def bench(start: Start) -> AcmeBench:
    return await start(plain_http=True)


def noted(bench: AcmeBench) -> list[dict[str, object]]:
    sessions: list[dict[str, object]] = json.loads(bench.book.note or "[]")
    return sessions


async def until(true: Callable[[], bool]) -> None:
    for _ in range(4000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come about")


def logins(bench: AcmeBench) -> int:
    return len(bench.sbc.journal.entries("token"))


# ------------------------------------------------------------------------------------------ left sessions


async def test_a_note_says_where_with_what_and_until_when(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    (session,) = noted(bench)
    assert session["unit"] == bench.credentials.address
    assert bench.sbc.tokens.holds(str(session["token"]))
    assert 590 < float(str(session["until"])) - time.time() <= 600
    await device.unlock(permit)
    await device.close()
    assert bench.book.note is None


async def test_a_renewed_token_is_noted_before_anything_else_is_sent(start: Start) -> None:
    bench = await start(plain_http=True, token_lifetime_s=30, parameters={"token.life": "0.4"})
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    first = noted(bench)
    await asyncio.sleep(0.25)
    await device.save(permit)
    (session,) = noted(bench)
    assert session["token"] != first[0]["token"] and bench.sbc.tokens.holds(str(session["token"]))
    crashed = bench.book.note
    bench.crash()
    following = bench.connect(left_session=crashed)
    await following.lock(permit)
    await following.unlock(permit)
    await following.close()
    await device.close()


async def test_a_token_renewed_while_a_job_runs_is_noted_too(start: Start) -> None:
    bench = await start(plain_http=True, token_lifetime_s=30, job_delay_s=1.0, parameters={"token.life": "0.6"})
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    first = noted(bench)
    await device.save(permit)
    assert noted(bench)[0]["token"] != first[0]["token"]
    assert bench.sbc.tokens.holds(str(noted(bench)[0]["token"]))
    await device.unlock(permit)
    await device.close()
    assert bench.book.note is None


async def test_work_fenced_while_its_job_runs_renews_nothing_and_still_hears_the_end(start: Start) -> None:
    bench = await start(plain_http=True, token_lifetime_s=30, job_delay_s=1.0, parameters={"token.life": "0.6"})
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    job = asyncio.ensure_future(device.save(permit))
    await until(lambda: len(bench.book.steps) == 2)
    bench.book.fence_at = 2
    await job
    assert [entry.subject for entry in bench.sbc.journal.entries("token")] == ["issued"]
    assert [step.open for step in bench.book.steps] == [False, False]
    with pytest.raises(LockLost):
        await device.activate(permit)
    await device.close()


async def test_a_foreign_lock_is_not_ended_and_what_we_left_is_said(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    note = bench.book.note
    bench.crash()
    bench.sbc.tokens.revoke_all()
    bench.sbc.control({"console_lock": True})
    following = bench.connect(left_session=note)
    with pytest.raises(
        DeviceSideLocked, match=r"console.*an earlier session of this server may hold it, until 20\d\d-"
    ):
        await following.lock(permit)
    assert bench.sbc.tokens.lock_holder() == "console"
    assert bench.book.note == note, "it may still be there, so it stays noted"
    await following.close()
    await device.close()


async def test_a_lock_that_is_refused_leaves_no_note(bench: AcmeBench) -> None:
    bench.sbc.control({"console_lock": True})
    device = bench.connect()
    with pytest.raises(DeviceSideLocked) as caught:
        await device.lock(bench.book.write())
    assert "earlier session" not in caught.value.message
    assert bench.book.note is None and bench.book.notes[0][0] is not None
    await device.close()


@pytest.mark.parametrize("note", ["no JSON", "{}", '[{"unit": 7}]', '[{"unit":"u","token":"t","until":1.0}]'])
async def test_a_note_that_says_nothing_useful_hinders_nothing(bench: AcmeBench, note: str) -> None:
    device, permit = bench.connect(left_session=note), bench.book.write()
    await device.lock(permit)
    await device.unlock(permit)
    await device.close()
    assert bench.writes() == 2


async def test_a_token_is_only_ever_sent_to_the_unit_it_is_of(start: Start) -> None:
    bench, other = await start(plain_http=True), await start(plain_http=True)
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    other.sbc.control({"console_lock": True})
    moved = other.connect(left_session=bench.book.note)
    with pytest.raises(DeviceSideLocked):
        await moved.lock(other.book.write())
    assert [entry.kind for entry in other.sbc.journal] == ["token", "lock"]
    await device.unlock(permit)


# ------------------------------------------------------------------------------------------- kept units


async def test_a_unit_stays_logged_in_for_the_next_operation(bench: AcmeBench) -> None:
    for _ in range(3):
        device, permit = bench.connect(), bench.book.write()
        await device.facts(permit)
        await device.lock(permit)
        await device.unlock(permit)
        await device.close()
    assert logins(bench) == 1
    assert len({entry.client for entry in bench.sbc.journal}) == 1


async def test_other_credentials_never_get_it(start: Start) -> None:
    bench = await start(plain_http=True, viewer=("looker", "Viewer-pw-4711"))
    for changes in ({}, {"username": "looker", "password": "Viewer-pw-4711"}, {}):
        device = bench.connect(**changes)
        await device.facts(bench.book.read())
        await device.close()
    assert [entry.user for entry in bench.sbc.journal.entries("token")] == [USER, "looker"]
    wrong = bench.connect(password="wrong-4711")
    with pytest.raises(Exception, match="login"):
        await wrong.facts(bench.book.read())
    await wrong.close()


async def test_one_that_may_hold_the_lock_is_not_kept(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    await device.close()
    following = bench.connect()
    await following.lock(permit)
    await following.unlock(permit)
    await following.close()
    assert logins(bench) == 2
    assert [(e.kind, e.status) for e in bench.sbc.journal if e.kind != "token"] == [
        ("lock", 204),
        ("lock", 423),
        ("unlock", 204),
        ("lock", 204),
        ("unlock", 204),
    ]


async def test_one_whose_last_request_failed_is_not_kept(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    await bench.cut_next_edit()
    with pytest.raises(Unreachable):
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    await device.close()
    following = bench.connect()
    await following.facts(permit)
    await following.close()
    assert logins(bench) == 2


async def test_one_the_device_forgot_meanwhile_logs_in_anew(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    await device.facts(permit)
    await device.close()
    bench.sbc.tokens.revoke_all()
    following = bench.connect()
    await following.lock(permit)
    await following.unlock(permit)
    await following.close()
    assert logins(bench) == 2


# ---------------------------------------------------------------------------------------- certificates


async def test_a_certificate_is_kept_when_first_seen_and_may_not_change(start: Start) -> None:
    bench = await start()
    device = bench.connect(parameters=FIRST_USE)
    await device.facts(bench.book.read())
    learned = dict(device.learned)
    await device.close()
    assert bench.sbc.certificate is not None
    assert learned == {"tls.fingerprint": _of(bench.sbc)}
    known = {**FIRST_USE, **learned}
    device = bench.connect(parameters=known)
    await device.facts(bench.book.read())
    assert device.learned == {}
    await device.close()
    other = await start()
    entries = len(other.sbc.journal.entries())
    changed = bench.connect(address=other.credentials.address, parameters=known)
    with pytest.raises(UntrustedDevice, match="shows another certificate than before") as caught:
        await changed.facts(bench.book.read())
    assert caught.value.facts == {"presented": _of(other.sbc), "expected": _of(bench.sbc)}
    assert _of(other.sbc) in caught.value.message and _of(bench.sbc) in caught.value.message
    await changed.close()
    assert len(other.sbc.journal.entries()) == entries and other.sbc.journal.reads() == [], "not a byte was sent"


async def test_of_a_pair_both_certificates_are_learned_at_once(start: Start) -> None:
    other = await start()
    bench = await start(secondary=other)
    bench.sbc.pair_with(other.sbc)
    device = bench.connect(parameters=FIRST_USE)
    await device.facts(bench.book.read())
    learned = dict(device.learned)
    await device.close()
    assert learned == {"tls.fingerprint": f"{_of(bench.sbc)} {_of(other.sbc)}"}
    bench.sbc.switch_over()
    device = bench.connect(parameters={**FIRST_USE, **learned})
    permit = bench.book.write()
    await device.lock(permit)
    await device.unlock(permit)
    await device.close()
    assert other.writes() == 2


async def test_a_fingerprint_is_read_in_the_forms_people_have_it(start: Start) -> None:
    bench = await start()
    shown = _of(bench.sbc)
    for text in (shown, shown.lower(), shown.replace(":", ""), f"SHA256:{shown}"):
        device = bench.connect(parameters={**FIRST_USE, "tls.fingerprint": text})
        await device.facts(bench.book.read())
        await device.close()
    with pytest.raises(InvalidRequest, match=r"tls\.fingerprint"):
        AcmeSbcDriver().connect(
            DEVICE, Credentials("192.0.2.1", parameters={**FIRST_USE, "tls.fingerprint": "AB:CD"}), bench.book
        )


def _of(sbc: VirtualSbc) -> str:
    assert sbc.certificate is not None
    return fingerprint(ssl.PEM_cert_to_DER_cert(sbc.certificate.read_text()))


# --------------------------------------------------------------------------------------- secrets, size


async def test_a_secret_survives_load_edit_elsewhere_push_and_restore(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    account = Element("realmConfig/authAttribute", {"authRealm": "r", "username": "u", "password": "Very-secret-1"})
    new = Element("realmConfig", {"id": "safe"}, (account,))
    await push(device, permit, schema, ElementEdit(None, new))
    loaded = await find(device, permit, schema, new, running=True)
    assert loaded is not None and missing_from(schema, new, loaded) == []
    shown = loaded.children[0].attributes["password"]
    assert shown.startswith("$1$") and "Very-secret-1" not in shown
    elsewhere = replace(loaded, attributes={**loaded.attributes, "description": "edited"})
    await push(device, permit, schema, ElementEdit(loaded, elsewhere))
    await push(device, permit, schema, ElementEdit(elsewhere, None))
    await push(device, permit, schema, ElementEdit(None, loaded))
    restored = await find(device, permit, schema, new, running=True)
    assert restored == loaded
    other = replace(account, attributes={**account.attributes, "password": "Other-secret-2"})
    await push(device, permit, schema, ElementEdit(loaded, replace(loaded, children=(other,))))
    changed = await find(device, permit, schema, new, running=True)
    assert changed is not None and changed.children[0].attributes["password"] not in (shown, "Other-secret-2")
    await device.close()


async def test_many_pages_come_whole_and_in_order(bench: AcmeBench) -> None:
    bench.sbc.control({"elements": {"session-agent": 1_234}})
    device, permit = bench.connect(), bench.book.read()
    schema = await device.read_schema(permit)
    agents = [e.attributes["hostname"] for e in await device.read_elements(permit, schema, ["sessionAgent"])]
    assert agents[:-1] == [f"made-up-{n:06}.example" for n in range(1_234)]
    await device.close()


async def test_reading_that_is_cancelled_between_pages_leaves_nothing_behind(bench: AcmeBench) -> None:
    bench.sbc.control({"elements": {"session-agent": 3_000}})
    device, permit = bench.connect(), bench.book.read()
    schema = await device.read_schema(permit)
    reading = asyncio.ensure_future(device.read_elements(permit, schema, ["sessionAgent"]))
    before = len(bench.sbc.journal.reads())
    await until(lambda: len(bench.sbc.journal.reads()) >= before + 5)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert [t for t in asyncio.all_tasks() if "UnitSession._read" in repr(t.get_coro())] == []
    await device.close()


async def test_release_8_2_is_restored_in_its_own_words(start: Start) -> None:
    bench = await start(plain_http=True, version="SCZ8.2.0")
    device, permit = bench.connect(), bench.book.write()
    schema = await device.read_schema(permit)
    await device.lock(permit)
    await device.write(permit, schema, ElementEdit(None, bench.new_element()))
    await device.restore(permit, "running")
    assert await find(device, permit, schema, bench.new_element(), running=False) is None
    await device.unlock(permit)
    await device.close()
    assert any("/rest/v1.1/" in e.path and "restoreType=running" in e.path for e in bench.sbc.journal)


async def test_no_note_shows_a_token_in_a_representation(bench: AcmeBench) -> None:
    device, permit = bench.connect(), bench.book.write()
    await device.lock(permit)
    token = str(noted(bench)[0]["token"])
    credentials = replace(bench.credentials, left_session=bench.book.note)
    assert (
        token not in repr(credentials)
        and token not in repr(read_note(bench.book.note))
        and PASSWORD not in repr(credentials)
    )
    await device.unlock(permit)
    await device.close()
