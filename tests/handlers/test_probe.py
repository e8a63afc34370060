"""Probing the virtual SBC, and hosts that are none."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from opensdm.core.errors import Forbidden, InvalidRequest
from opensdm.core.operations import ListAudit, LockDevice, ProbeDevice, ProbeHost
from opensdm.core.results import ProbeReport
from opensdm.tls import ensure_certificates
from tests.gatehouse import House, house_with_users
from tests.simulator.box import PASSWORD, USER, VIEWER, VIEWER_PASSWORD, Box, LoopThread

STEPS = ("address", "connection", "trust", "login", "facts", "schema", "configuration", "capabilities")


@dataclass(frozen=True)
class Target:
    """A virtual SBC over TLS, and what it takes to enter it."""

    box: Box
    parameters: dict[str, str]


@pytest.fixture(scope="module")
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    files = ensure_certificates(tmp_path_factory.mktemp("tls"), ["127.0.0.1"])
    loop = LoopThread()
    box = Box(loop, plain_http=False, tls=(files.server_cert, files.server_key))
    parameters = {
        "primary.ip": f"127.0.0.1:{box.address[1]}", "username": USER, "password": PASSWORD,
        "tls.ca": files.ca_cert.read_text(),
    }  # fmt: skip
    yield Target(box, parameters)
    box.begin_close().result(20)
    loop.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    url = f"sqlite:///{tmp_path}/opensdm.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    async with house_with_users(url, tmp_path) as house:
        yield house


async def probed(house: House, parameters: dict[str, str], user: str = "alice") -> ProbeReport:
    report = await house.do(user, ProbeHost(platform="acme_sbc", parameters=parameters))
    assert isinstance(report, ProbeReport)
    assert tuple(finding.step for finding in report.findings) == STEPS
    secret = parameters.get("password")
    assert secret is None or secret not in repr(report)
    return report


def results(report: ProbeReport) -> list[bool | None]:
    return [finding.ok for finding in report.findings]


def said(report: ProbeReport, step: str) -> str:
    return next(finding.message for finding in report.findings if finding.step == step)


def stopped_at(step: str) -> list[bool | None]:
    """Good before it, untried after it; what the platform offers is known anyway."""
    place = STEPS.index(step)
    return [*[True] * place, False, *[None] * (len(STEPS) - place - 2), True]


async def test_all_of_a_good_host_works(either: House, sbc: Target) -> None:
    """On both databases: what is about no device is admitted, and leaves nothing to be ended or interrupted."""
    written = len(sbc.box.simulator.journal.entries())
    report = await probed(either, sbc.parameters)
    assert results(report) == [True] * len(STEPS), report
    assert report.facts is not None and report.facts.host_name == "sbc-1"
    assert (report.address, report.platform) == (sbc.parameters["primary.ip"], "acme_sbc")
    assert report.element_types and report.elements and report.trust == {}
    assert str(report.element_types) in said(report, "schema") and str(report.elements) in said(report, "configuration")
    offered = said(report, "capabilities")
    assert "its own lock" in offered and offered.endswith("without: confirmed commit")
    sent = sbc.box.simulator.journal.entries()[written:]
    assert {entry.kind for entry in sent} == {"token"}, "nothing but logins is written to what is probed"
    assert await either.database.query(lambda c: c.scalar(text("SELECT count(*) FROM claim"))) == 0
    trail = await either.do("admin", ListAudit(filters={"operation": "ProbeHost"}))
    (entry,) = trail.items
    assert (entry.user_name, entry.result) == ("alice", "SUCCESS") and PASSWORD not in repr(entry)


async def test_an_enrolled_device_is_probed_under_its_lock(either: House, sbc: Target) -> None:
    device_id = await either.enrol("edge-a", sbc.parameters["primary.ip"], **_entry(sbc))
    await either.do("alice", LockDevice(device_id=device_id))
    report = await either.do("alice", ProbeDevice(device_id=device_id))
    assert results(report) == [True] * len(STEPS), report
    assert (report.address, report.platform) == (sbc.parameters["primary.ip"], "acme_sbc")
    assert PASSWORD not in repr(report)
    with pytest.raises(InvalidRequest, match=f"ID{device_id}"):
        await probed(either, sbc.parameters)


def _entry(sbc: Target) -> dict[str, str]:
    return {name: value for name, value in sbc.parameters.items() if name != "primary.ip"}


async def test_a_wrong_password_fails_at_the_login(house: House, sbc: Target) -> None:
    report = await probed(house, {**sbc.parameters, "password": "Wrong-secret-9"})
    assert results(report) == stopped_at("login"), report
    assert f"login of user {USER!r}" in said(report, "login")
    assert said(report, "facts") == "not tried: login failed before it"
    assert (report.facts, report.element_types, report.elements) == (None, None, None)


async def test_nothing_listening_fails_at_the_connection(house: House) -> None:
    with _closed_port() as port:
        report = await probed(house, {"primary.ip": f"127.0.0.1:{port}"})
    assert results(report) == stopped_at("connection"), report
    assert f"127.0.0.1:{port}: no connection" in said(report, "connection")


async def test_a_name_without_an_address_fails_first(house: House) -> None:
    report = await probed(house, {"primary.ip": "nowhere.invalid"})
    assert results(report) == stopped_at("address"), report
    assert "its name has no address" in said(report, "address")


async def test_a_certificate_that_is_not_trusted_fails_at_the_trust(house: House, sbc: Target) -> None:
    plain = {name: value for name, value in sbc.parameters.items() if name != "tls.ca"}
    report = await probed(house, plain)
    assert results(report) == stopped_at("trust"), report
    assert "certificate is not trusted" in said(report, "trust") and "tls.ca" in said(report, "trust")
    report = await probed(house, {**plain, "tls.verify": "false"})
    assert results(report) == [True] * len(STEPS)
    assert said(report, "trust") == "not checked: tls.verify is false"


async def test_who_may_look_only_is_told_what_is_refused(house: House, sbc: Target) -> None:
    """An account of the device's that may not do everything there: the device's own words are shown."""
    report = await probed(house, {**sbc.parameters, "username": VIEWER, "password": VIEWER_PASSWORD})
    failed = [finding for finding in report.findings if finding.ok is False]
    assert all("refused" in finding.message for finding in failed)


async def test_parameters_are_those_of_enrolment(house: House) -> None:
    for parameters, words in (
        ({}, "primary.ip"),
        ({"primary.ip": "a b"}, "primary.ip"),
        ({"primary.ip": "192.0.2.1", "colour": "red"}, "colour"),
        ({"primary.ip": "192.0.2.1", "password": "xxxx"}, "password"),
        ({"primary.ip": "192.0.2.1", "tls.ca": "nonsense"}, "tls.ca"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            await probed(house, parameters)
    with pytest.raises(InvalidRequest, match="acme_sbc"):
        await house.do("alice", ProbeHost(platform="vax", parameters={"primary.ip": "192.0.2.1"}))
    with pytest.raises(Forbidden):
        await house.do("mona", ProbeHost(platform="acme_sbc", parameters={"primary.ip": "192.0.2.1"}))


@contextmanager
def _closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets while we hold it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        yield port
