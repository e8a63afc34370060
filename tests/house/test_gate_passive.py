"""What an open page asks by itself is no use of its reader's session."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from opensdm.core.operations import ShowServer
from opensdm.gate import Caller
from opensdm.gate import gate as gate_module
from tests.gatehouse import House, house_with_users


async def last_use(house: House, caller: Caller) -> int:
    assert caller.token is not None
    hashed = sha256(caller.token.encode()).digest()
    row = await house.ledger.read(lambda tx: tx.identity.session(hashed))
    assert row is not None
    return row.last_used_us


async def test_only_requests_of_people_use_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "TOUCH_EVERY_US", 0)
    async with house_with_users(f"sqlite:///{tmp_path / 'opensdm.db'}", tmp_path) as house:
        caller = await house.caller("alice", "web")
        before = await last_use(house, caller)
        await house.gate.execute(replace(caller, passive=True), ShowServer())
        assert await last_use(house, caller) == before
        await house.gate.execute(caller, ShowServer())
        assert await last_use(house, caller) > before
