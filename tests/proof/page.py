"""The page of planted faults, `docs/proof.md`: `python -m tests.proof.page` writes it from a run of `test_faults`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.proof.faults import FAULTS, Fault
from tests.proof.test_invariants import INVARIANTS

PAGE = Path(__file__).parents[2] / "docs" / "proof.md"
WRITING = "OPENSDM_WRITING_PROOF"
NOTE = "<!-- Written by `make docs-proof` from a run of the planted faults; changes here are lost. -->"
ABOVE = (Path(__file__).parent / "proof_above.md").read_text()


class Gather:
    """What each fault's test recorded, as pytest reports it."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.said.update({name: str(value) for name, value in report.user_properties})


def is_up_to_date(fault: Fault, said: str) -> bool:
    """Whether the page shows this fault with what caught it; anything does while the page is being written.

    Where tasks race, another sentence of the same invariants may come first: that is as good.
    """
    if WRITING in os.environ:
        return True
    rows = PAGE.read_text().splitlines()
    words = "".join((Path(__file__).parent / name).read_text() for name in ("claims.py", "locks.py"))
    shown = any(row.startswith(_row(fault, "").removesuffix(" |")) for row in rows)
    return _row(fault, said) in rows or (shown and f'"{said}"' in words)


def written(said: dict[str, str]) -> str:
    rows = [_row(fault, said[fault.name]) for fault in sorted(FAULTS, key=lambda fault: fault.breaks)]
    table = ("| invariant | planted fault | caught, since |", "|---|---|---|", *rows)
    return "\n".join((NOTE, "", ABOVE.rstrip(), "", *table, ""))


def _row(fault: Fault, said: str) -> str:
    (name,) = (name for name in INVARIANTS if name.partition("_")[0] == fault.breaks)
    number, _, words = name.partition("_")
    title = f"{number[0].upper()}{int(number[1:])}: {words.replace('_', ' ')}" if number[1:].isdigit() else name
    return f"| {title.replace('_', ' ')} | `{fault.name}`: {fault.told} | {said} |"


def main(arguments: Iterable[str]) -> int:
    os.environ[WRITING] = "1"
    gather = Gather()
    tests = Path(__file__).parent / "test_faults.py"
    failed = pytest.main(["-q", "-p", "no:xdist", "-o", "addopts=", str(tests), *arguments], plugins=[gather])
    if failed == 0:
        PAGE.write_text(written(gather.said))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
