"""Each transition of the lock, and what has to be so before it can be made, for proofs that cut it off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from opensdm.core.lock import (
    Actor,
    Admit,
    Admitted,
    Answer,
    AskRelease,
    BeginStep,
    ClaimRow,
    Confirm,
    EndClaim,
    Expire,
    Fence,
    FinishStep,
    GiveUp,
    Guard,
    LeaveQueue,
    Promote,
    Queued,
    Refused,
    ReleaseLock,
    Request,
    StartClaim,
    TakeAway,
    TakeLock,
    Waiting,
)
from opensdm.core.ports import Transaction
from opensdm.core.submission import AuditDraft, Submission, Target
from opensdm.stores.recovery import recover
from tests.proof.place import Node, must

MINUTE_US = 60_000_000
SHORT_STEP_US = 50_000
"""Over by the time of the next start: the device is to be had then."""
Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Scene:
    """A node on a database with users and two devices, `devices`; nothing is locked and nobody works."""

    node: Node
    users: dict[str, int]
    devices: frozenset[int]

    @classmethod
    async def of(cls, node: Node) -> Scene:
        users = {u.user_name: u.user_id for u in await node.ledger.read(lambda tx: tx.identity.users())}
        rows = await node.rows("SELECT device_id FROM device_lock")
        return cls(node, users, frozenset(row.device_id for row in rows))

    @property
    def one(self) -> frozenset[int]:
        return frozenset((min(self.devices),))

    def actor(self, user: str) -> Actor:
        return Actor(self.users[user], user, None, "rest")

    def submission(self, request: Request, devices: frozenset[int], user: str, effect: bool) -> Submission:
        """With its audit row, and where asked for with a change of the device's own row."""
        name = type(request).__name__
        audit = AuditDraft(self.users[user], user, "rest", "127.0.0.1", name, f"proof:{name.lower()}", f"r-{name}")
        changes = self.changes(devices) if effect else None
        return Submission(Target(devices=devices), request, effect=changes, audit=audit)

    @staticmethod
    def changes(devices: frozenset[int]) -> Callable[[Transaction], Awaitable[None]]:
        async def effect(transaction: Transaction) -> None:
            for device in sorted(devices):
                await transaction.inventory.set_operation(device, last_operation="Save", status="In Sync")

        return effect

    async def ask(
        self, request: Request, devices: frozenset[int], user: str = "alice", effect: bool = False
    ) -> Answer | None:
        """Make it; a refusal is a fault of the scene."""
        answer = (await self.node.ledger.submit(self.submission(request, devices, user, effect))).answer
        must(not isinstance(answer, Refused), f"a transition was refused: {answer}")
        return answer

    def act(self, request: Request, devices: frozenset[int], user: str = "alice", *, effect: bool = False) -> Act:
        return lambda: self.ask(request, devices, user, effect)

    # ------------------------------------------------------------------------------ what was before

    async def locked(self, user: str = "alice", **terms: Any) -> None:
        await self.ask(TakeLock(self.actor(user), self.devices, f"{user} provisions", **terms), self.devices, user)

    async def works(self, user: str = "alice", *, queue_us: int = 0) -> ClaimRow:
        """A write of that user to both devices, RUNNING or QUEUED."""
        answer = await self.ask(self.admit(user, queue_us), self.devices, user)
        assert isinstance(answer, Admitted | Queued) and answer.claim is not None, answer
        return answer.claim

    def admit(self, user: str, queue_us: int = 0) -> Admit:
        now = self.node.ledger.incarnation
        return Admit(self.actor(user), self.devices, 0, "PushChanges", now, exclusive=True, queue_us=queue_us)

    async def steps(self, claim: ClaimRow, limit_us: int = SHORT_STEP_US) -> None:
        await self.ask(BeginStep(claim.claim_id, self.node.ledger.incarnation, limit_us), self.devices)

    async def waits(self) -> tuple[Waiting, TakeLock]:
        """A request of alice's for both devices, behind another's work: what it was told, and itself."""
        take = TakeLock(self.actor("alice"), self.devices, "when you are done", wait_us=MINUTE_US)
        answer = await self.ask(take, self.devices)
        assert isinstance(answer, Waiting), answer
        return answer, take

    async def queued(self) -> tuple[Admit, ClaimRow]:
        """A write behind another of the same user: as it is started or left, and the other."""
        first = await self.works("alice")
        second = await self.works("alice", queue_us=MINUTE_US)
        return replace(self.admit("alice"), claim_id=second.claim_id), first


async def take_lock(at: Scene) -> Act:
    return at.act(TakeLock(at.actor("alice"), at.devices, "maintenance", lease_s=60), at.devices)


async def take_lock_again(at: Scene) -> Act:
    """The reason is noted and the lease renewed."""
    await at.locked(lease_s=60)
    return at.act(TakeLock(at.actor("alice"), at.devices, "goes on", lease_s=120), at.devices)


async def take_lock_and_wait(at: Scene) -> Act:
    await at.works("bob")
    return at.act(TakeLock(at.actor("alice"), at.devices, "later", wait_us=MINUTE_US), at.devices)


async def take_lock_after_a_lease(at: Scene) -> Act:
    await at.locked("bob", lease_s=60)
    at.node.jump(61)
    return at.act(TakeLock(at.actor("alice"), at.devices, "its lease is over"), at.devices)


async def promote(at: Scene) -> Act:
    work = await at.works("bob")
    told, take = await at.waits()
    await at.ask(EndClaim(work.claim_id), at.devices, "bob")
    return at.act(Promote(told.pending_id, take), at.devices)


async def give_up(at: Scene) -> Act:
    await at.works("bob")
    told, take = await at.waits()
    give_up = GiveUp(told.pending_id, take)
    return lambda: at.node.ledger.submit(at.submission(give_up, at.devices, "alice", effect=False))


async def release_lock(at: Scene) -> Act:
    await at.locked()
    return at.act(ReleaseLock(at.actor("alice"), at.devices), at.devices)


async def take_away(at: Scene) -> Act:
    """From an owner whose work is in a step."""
    await at.locked()
    await at.steps(await at.works())
    return at.act(TakeAway(at.actor("admin"), at.one, "outage", expected_holder="alice"), at.one, "admin")


async def take_away_for_oneself(at: Scene) -> Act:
    await at.locked()
    return at.act(TakeAway(at.actor("admin"), at.one, "outage", transfer=True), at.one, "admin")


async def take_away_and_wait(at: Scene) -> Act:
    await at.locked()
    await at.steps(await at.works())
    request = TakeAway(at.actor("admin"), at.one, "outage", transfer=True, wait_us=MINUTE_US)
    return at.act(request, at.one, "admin")


async def expire(at: Scene) -> Act:
    await at.locked(lease_s=60)
    at.node.jump(61)
    return at.act(Expire(at.devices), at.devices)


async def ask_release(at: Scene) -> Act:
    await at.locked()
    return at.act(AskRelease(at.actor("bob"), at.one, "please"), at.one, "bob")


async def confirm(at: Scene) -> Act:
    """After work that was cut off in a step on devices that nothing fences."""
    work = await at.works("bob")
    await at.node.write_row("UPDATE claim SET unfenced = 1")
    await at.steps(work, 1)
    await at.ask(EndClaim(work.claim_id), at.devices, "bob")
    return at.act(Confirm(at.actor("alice"), at.one, "looked: nothing runs there"), at.one)


async def guard(at: Scene) -> Act:
    await at.locked()
    return at.act(Guard(at.actor("alice"), at.devices, writes=True), at.devices, effect=True)


async def admit(at: Scene) -> Act:
    await at.locked()
    return at.act(at.admit("alice"), at.devices)


async def admit_and_queue(at: Scene) -> Act:
    await at.works()
    return at.act(at.admit("alice", queue_us=MINUTE_US), at.devices)


async def start_claim(at: Scene) -> Act:
    queued, first = await at.queued()
    await at.ask(EndClaim(first.claim_id), at.devices)
    return at.act(StartClaim(queued), at.devices)


async def leave_queue(at: Scene) -> Act:
    queued, _ = await at.queued()
    return lambda: at.node.ledger.submit(at.submission(LeaveQueue(queued), at.devices, "alice", effect=False))


async def begin_step(at: Scene) -> Act:
    work = await at.works()
    return at.act(BeginStep(work.claim_id, at.node.ledger.incarnation, SHORT_STEP_US), at.devices)


async def finish_step(at: Scene) -> Act:
    work = await at.works()
    await at.steps(work)
    return at.act(FinishStep(work.claim_id), at.devices)


async def fence(at: Scene) -> Act:
    """The record of what work did to the devices."""
    work = await at.works()
    return at.act(Fence(work.claim_id, at.node.ledger.incarnation, clears_uncertain=True), at.devices, effect=True)


async def end_claim(at: Scene) -> Act:
    """By its owner, whose lease begins anew."""
    await at.locked(lease_s=60)
    work = await at.works()
    at.node.jump(1)
    return at.act(EndClaim(work.claim_id), at.devices)


async def end_claim_in_a_step(at: Scene) -> Act:
    work = await at.works()
    await at.steps(work)
    return at.act(EndClaim(work.claim_id, uncertain=True), at.devices)


async def interrupt(at: Scene) -> Act:
    """The next start of this node, with work, a write that queues and a lock request left behind."""
    await at.steps(await at.works("bob"))
    await at.works("bob", queue_us=MINUTE_US)
    await at.waits()
    return lambda: recover(at.node.database, "one", "127.0.0.1")


async def write(at: Scene) -> Act:
    """An effect that concerns no lock."""
    return lambda: at.node.ledger.write(at.changes(at.devices))


TRANSITIONS: dict[str, Callable[[Scene], Awaitable[Act]]] = {
    made.__name__: made
    for made in (
        take_lock, take_lock_again, take_lock_and_wait, take_lock_after_a_lease, promote, give_up, release_lock,
        take_away, take_away_for_oneself, take_away_and_wait, expire, ask_release, confirm, guard, admit,
        admit_and_queue, start_claim, leave_queue, begin_step, finish_step, fence, end_claim, end_claim_in_a_step,
        interrupt, write,
    )
}  # fmt: skip
