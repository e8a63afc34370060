"""Every invariant's test fails when its rule is broken: faults are planted one at a time, and each is caught.

What caught it is the page `docs/proof.md`, which `python -m tests.proof.page` writes from a run of this file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from opensdm.core.errors import HouseRuleBroken
from tests.proof import place as place_module
from tests.proof.faults import FAULTS, Fault
from tests.proof.page import is_up_to_date
from tests.proof.place import Broken, place
from tests.proof.test_invariants import INVARIANTS


def test_every_invariant_has_a_fault_that_breaks_it() -> None:
    assert {fault.breaks for fault in FAULTS} == {name.partition("_")[0] for name in INVARIANTS}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


async def caught(fault: Fault, url: str, directory: Path, patch: pytest.MonkeyPatch) -> str:
    """The sentence with which its invariant's test fails."""
    (invariant,) = (body for name, body in INVARIANTS.items() if name.partition("_")[0] == fault.breaks)
    async with place(url, directory) as at:
        with patch.context() as planted:
            planted.setattr(place_module, "SOON_S", 3.0)
            fault.plant(planted)
            with pytest.raises((Broken, HouseRuleBroken)) as failure:
                await invariant(at)
    return str(failure.value)


@pytest.mark.parametrize("fault", [f for f in FAULTS if not f.many_nodes], ids=lambda f: f.name)
async def test_a_planted_fault_is_caught(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: object
) -> None:
    said = await caught(fault, f"sqlite:///{tmp_path}/proof.db", tmp_path, monkeypatch)
    record_property(fault.name, said)  # type: ignore[operator]
    assert is_up_to_date(fault, said)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.many_nodes], ids=lambda f: f.name)
async def test_a_fault_among_nodes_is_caught(
    fault: Fault, tmp_path: Path, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch, record_property: object
) -> None:
    said = await caught(fault, migrated_postgres_url, tmp_path, monkeypatch)
    record_property(fault.name, said)  # type: ignore[operator]
    assert is_up_to_date(fault, said)
