"""Takes one gate call away at a time and runs the tests that are to notice: `python -m tests.house.sabotage`.

A cut names a function of the gate and one statement in it. The statement is replaced in the function's source, the
function is compiled again and put in the place of the true one. Prints JSON: for each cut, by test, how it failed.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opensdm.gate.gate import Gate
from opensdm.gate.seal import Seal
from opensdm.gate.work import GateWork
from tests.house import ground

HERE = Path(__file__).parent
UNTOUCHED = "nothing"
EVERY, BYPASS, GATE = "test_every_operation.py", "test_no_bypass.py", "test_gate.py"
UNDER = f"{EVERY}::test_under_a_foreign_lock"
AGAIN = f"{EVERY}::test_the_owner_works_on_from_a_second_session"
LAST_LOCK = f"{EVERY}::test_a_lock_taken_at_the_last_moment_counts"
LAST_SESSION = f"{EVERY}::test_a_session_that_ends_at_the_last_moment_counts"
RUNNING = f"{EVERY}::test_running_work_is_marked_and_keeps_others_away"
FAULT = f"{EVERY}::test_a_foreign_lock_is_heard_of_before_any_fault_of_the_request"
EPOCH = f"{EVERY}::test_a_stale_epoch_is_told_before_all_else"
RESUMED = f"{BYPASS}::test_work_resumed_after_a_crash_writes_nothing"
OF_ENDED = f"{BYPASS}::test_nothing_is_done_in_the_name_of_an_operation_that_ended"


@dataclass(frozen=True)
class Cut:
    """In `function` of `owner` the one statement that begins with `statement` becomes `instead`; `tests` notice."""

    owner: type[Any]
    function: str
    statement: str
    tests: tuple[str, ...]
    instead: str = "pass"


CUTS = {
    "authenticate": Cut(Gate, "_pass", "run.session = known = await self._authenticate", (f"{UNDER}[ShowDevice]",)),
    "a session's end": Cut(Gate, "_authenticate", "if row is None", (f"{GATE}::test_a_session_ends_with_its_logout",)),
    "require": Cut(Gate, "_pass", "require(run.session, operation)", (f"{UNDER}[ListAudit]", f"{UNDER}[KeepHouse]")),
    "epoch check": Cut(Gate, "_admit", "await self._check_epoch(run)", (f"{EPOCH}[ShowDevice]",)),
    "early look": Cut(Gate, "_admit", "if rule.kind is Kind.CHANGE and", (f"{FAULT}[ChangeCredentials]",)),
    "claim registration": Cut(Gate, "_admit", "if rule.claim is not Claim.NONE", (f"{RUNNING}[PushChanges]",)),
    "end of claim": Cut(Gate, "_under_claim", "await self._writer.end", (f"{RUNNING}[ReadDeviceFacts]",)),
    "guard in the commit": Cut(
        Gate, "submit_guarded", "guard = ", (f"{LAST_LOCK}[AddElement]", f"{LAST_LOCK}[AssignDevice]"), "guard = None"
    ),
    "standing in the transaction": Cut(
        Gate,
        "_standing",
        "return ",
        (f"{LAST_SESSION}[LockDevice]", f"{LAST_SESSION}[AddUser]", f"{LAST_SESSION}[PushChanges]"),
        "return Standing(None)",
    ),
    "the rules' refusal": Cut(
        Gate, "_submit", "if isinstance(receipt.answer, Refused)", (f"{UNDER}[LockDevice]", f"{UNDER}[PushChanges]")
    ),
    "lock check of what answers": Cut(
        Gate,
        "_admit",
        "if rule.kind in (Kind.CHANGE, Kind.LOCK)",
        (f"{BYPASS}::test_a_change_that_forgets_its_commit_is_a_loud_bug",),
    ),
    "audit of refusals": Cut(Gate, "_pass", "await self._audit_refusal", (f"{UNDER}[AddUser]",)),
    "audit of logins": Cut(Gate, "_pass", "if operation.rule.kind is Kind.PUBLIC", (f"{UNDER}[Login]",)),
    "audit of locks": Cut(
        Gate,
        "submit_lock",
        "submission = ",
        (f"{AGAIN}[LockDevice]",),
        "submission = Submission(target_of(run.operation), request, standing=self._standing(run))",
    ),
    "seal check of a step": Cut(
        Seal, "step", "self.check(permit, device_id)", (f"{BYPASS}::test_a_counterfeit_permit_opens_nothing",)
    ),
    "seal check of a connection": Cut(
        GateWork, "connect", "self._gate.seal.check", (f"{BYPASS}::test_a_permit_is_for_its_own_devices",)
    ),
    "step": Cut(Seal, "step", "answer = await", (RESUMED,), "answer = None"),
    "refusal of a step": Cut(Seal, "step", "if isinstance(answer, Refused)", (RESUMED,)),
    "fence of what is recorded": Cut(
        GateWork, "_fenced", "if isinstance(receipt.answer, Refused)", (f"{GATE}::test_fenced_work_records_nothing",)
    ),
    "end of a permit": Cut(
        GateWork,
        "close",
        "if self._permit is not None",
        (f"{BYPASS}::test_a_permit_is_spent_when_its_operation_ends",),
    ),
    "end of an operation's work": Cut(GateWork, "close", "self._alive = False", (OF_ENDED,)),
    "life of an operation's work": Cut(GateWork, "_check_alive", "if not self._alive", (OF_ENDED,)),
}


class _Cutter(ast.NodeTransformer):
    """Replaces the statements that begin with a text; `found` counts them."""

    def __init__(self, cut: Cut) -> None:
        self.cut, self.found = cut, 0

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.stmt) and ast.unparse(node).startswith(self.cut.statement):
            self.found += 1
            return ast.parse(f"async def f():\n {self.cut.instead}").body[0].body  # type: ignore[attr-defined]
        return self.generic_visit(node)


def mutilated(cut: Cut) -> Any:
    """The function without its call. ValueError unless the statement is there exactly once."""
    original = inspect.unwrap(inspect.getattr_static(cut.owner, cut.function))
    tree = ast.parse(textwrap.dedent(inspect.getsource(original)))
    cutter = _Cutter(cut)
    tree = ast.fix_missing_locations(cutter.visit(tree))
    if cutter.found != 1:
        raise ValueError(f"{cut.owner.__name__}.{cut.function} has {cutter.found} times: {cut.statement}")
    made: dict[str, Any] = {}
    exec(compile(tree, f"<{cut.function} without a call>", "exec"), vars(sys.modules[cut.owner.__module__]), made)  # noqa: S102
    return made[cut.function]


@contextmanager
def applied(cut: Cut) -> Iterator[None]:
    true = inspect.getattr_static(cut.owner, cut.function)
    setattr(cut.owner, cut.function, mutilated(cut))
    try:
        yield
    finally:
        setattr(cut.owner, cut.function, true)


class Witness:
    """A pytest plugin that remembers which tests ran and how they failed."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("/")[2]
        if report.failed:
            self.failed[name] = f"{report.when}: {report.longreprtext.strip().splitlines()[-1]}"
        elif report.when == "call":
            self.passed.append(name)


def run(tests: Iterable[str]) -> Witness:
    witness = Witness()
    # What is imported already, and to be imported but once, keeps the asserts it has.
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main([*options, *(f"{HERE}/{test}" for test in tests)], plugins=[witness])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest could not run: {said.getvalue()}")
    return witness


def main() -> None:
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as directory, ground.laid(Path(directory)) as ground.kept:
        every = dict.fromkeys(test for cut in CUTS.values() for test in cut.tests)
        found[UNTOUCHED] = vars(run(every))
        for name, cut in CUTS.items():
            with applied(cut):
                found[name] = vars(run(cut.tests))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
