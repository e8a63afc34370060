"""The password of `enable` is typed where the device asks for a password, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.transcript import Exchange
from opensdm.core.errors import Rejected
from opensdm.core.inventory import Credentials
from opensdm.drivers.registry import Registry
from opensdm.drivers.ssh import HOST_KEY
from opensdm.testing.driver_bench import DEVICE, StepBook
from tests.cli_replay import PASSWORD, USER, Replay

FRR = Path(__file__).parents[1] / "data" / "devices" / "frr"


async def lines_typed(*extra: Exchange) -> tuple[list[str], str]:
    """What reaches a router that begins at `>`, and the refusal."""
    replay = Replay(sorted(FRR.glob("*.session"))[0])
    first, *others = replay.exchanges
    replay.exchanges = [replace(first, answer="router> "), *extra, *others]
    await replay.start()
    registry = Registry()
    known = Credentials(replay.address, None, USER, PASSWORD, {HOST_KEY: replay.host_key})
    book = StepBook()
    device = registry.driver("frr").connect(DEVICE, known, book)
    try:
        with pytest.raises(Rejected) as caught:
            await device.facts(book.read())
    finally:
        await device.close()
        await registry.close()
        await replay.stop()
    return replay.lines, caught.value.message


async def test_a_device_that_knows_no_enable_is_not_told_the_password_as_a_command() -> None:
    lines, words = await lines_typed()
    assert lines == ["enable"]
    assert "refused 'enable'" in words and PASSWORD not in words


async def test_a_device_that_asks_and_refuses_is_told_once() -> None:
    lines, words = await lines_typed(
        Exchange("enable", "enable\r\nPassword: "), Exchange(PASSWORD, "\r\n% Bad password\r\nrouter> ")
    )
    assert lines == ["enable", PASSWORD]
    assert "refused 'enable'" in words and PASSWORD not in words
