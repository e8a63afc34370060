"""What a handler holds while its operation runs, and not a moment longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

import structlog

from opensdm.core.element import Element
from opensdm.core.errors import HouseRuleBroken, NotFound, SdmError
from opensdm.core.identity import Session, SessionPolicy
from opensdm.core.inventory import Credentials
from opensdm.core.lock import Actor, Answer, ClaimRow, Expire, Fence, LockPolicy, LockRequest, Refused
from opensdm.core.node import NodeRhythm
from opensdm.core.operations import Claim, Kind, Operation, Scope
from opensdm.core.permit import Permit, Read, Write
from opensdm.core.ports import Capabilities, DeviceConnection, Effect, Packed, Page, Passwords, Transaction
from opensdm.core.submission import Receipt, Submission, Target
from opensdm.gate.hosts import enrolled_names, spellings
from opensdm.gate.policy import refusal

if TYPE_CHECKING:
    from opensdm.gate.gate import Gate
    from opensdm.gate.run import Run

T = TypeVar("T")
log = structlog.get_logger("opensdm.gate")

PACKED_FROM = 500
"""Elements from which on a configuration is made ready before its transaction."""
NO_DEVICE = 0
"""What a permit names that reaches a host nobody has enrolled."""


class GateWork:
    """The `Work` of one operation. Every method refuses once the operation has ended."""

    def __init__(self, gate: Gate, run: Run) -> None:
        self._gate = gate
        self._run = run
        self._alive = True
        self._permit: Permit[Read] | None = None
        self._connections: list[tuple[int, DeviceConnection, Credentials]] = []
        self.committed = False

    # ------------------------------------------------------------------------------ standing facts

    @property
    def session(self) -> Session:
        return self._run.session

    @property
    def request_id(self) -> str:
        return self._run.caller.request_id

    @property
    def address(self) -> str:
        return self._run.caller.address

    @property
    def passwords(self) -> Passwords:
        return self._gate.passwords

    @property
    def platforms(self) -> tuple[str, ...]:
        return self._gate.drivers.platforms()

    @property
    def session_policy(self) -> SessionPolicy:
        return self._gate.session_policy

    @property
    def lock_policy(self) -> LockPolicy:
        return self._gate.lock_policy

    @property
    def rhythm(self) -> NodeRhythm:
        return self._gate.rhythm

    @property
    def actor(self) -> Actor:
        return self._run.actor

    @property
    def uncertain(self) -> bool:
        return self._run.uncertain

    def capabilities(self, platform: str) -> Capabilities:
        return self._gate.drivers.driver(platform).capabilities

    # ------------------------------------------------------------------------------ tasks

    @property
    def task_id(self) -> str | None:
        return self._run.task_id

    async def progress(
        self, stage: str, state: str, note: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        """Tell those who watch; what cannot be told is not worth failing for, and a fence shows at the next step."""
        self._check_alive()
        task_id, claim = self._run.task_id, self._run.claim
        if task_id is None or claim is None:
            return

        async def effect(transaction: Transaction) -> None:
            await transaction.tasks.add_progress(task_id, stage, state, note, done, total)

        try:
            await self._fenced(claim, effect, clears_uncertain=False)
        except SdmError as error:
            log.info("progress was not noted", task_id=task_id, stage=stage, code=error.code)

    async def cancel_asked(self) -> bool:
        self._check_alive()
        task_id = self._run.task_id
        if task_id is None:
            return False
        known = task_id
        return await self._gate.reader.read(lambda transaction: transaction.tasks.cancel_asked(known))

    # ------------------------------------------------------------------------------ the database

    async def read(self, query: Callable[[Transaction], Awaitable[T]]) -> T:
        self._check_alive()
        return await self._gate.reader.read(query)

    async def pack(self, elements: Sequence[Element]) -> Sequence[Element] | Packed:
        self._check_alive()
        return elements if len(elements) < PACKED_FROM else await self._gate.reader.pack(elements)

    async def commit(self, effect: Effect[T], *, found: str | None = None) -> T:
        """The effect and the check of the lock are one transaction; see `Work.commit`."""
        self._check_alive()
        rule = self._run.operation.rule
        if rule.kind in (Kind.LOCK, Kind.OBSERVE, Kind.TOUCH):
            raise HouseRuleBroken(f"{self._run.operation.name} is a {rule.kind} operation and changes nothing this way")
        if found is not None and rule.kind is not Kind.MACHINERY:
            raise HouseRuleBroken(f"{self._run.operation.name} leaves the audit row of its own rule")
        if self._run.claim is not None:
            clears = self._run.claim.exclusive and rule.reaches_device
            receipt = await self._fenced(self._run.claim, effect, clears_uncertain=clears)
        elif self.committed and rule.kind is Kind.CHANGE:
            raise HouseRuleBroken(f"{self._run.operation.name} committed twice; one operation is one transaction")
        else:
            receipt = await self._gate.submit_guarded(self._run, effect, found)
        self.committed = True
        value: T = receipt.value
        return value

    async def foresee(self, request: LockRequest) -> Answer:
        self._check_alive()
        return await self._gate.ledger.peek(Submission(target_of(self._run.operation), request))

    async def expire(self, devices: Sequence[int]) -> None:
        self._check_alive()
        if self._run.operation.rule.kind is not Kind.MACHINERY:
            raise HouseRuleBroken(f"{self._run.operation.name} is not the server's own work")
        ends = (Submission(Target(devices=frozenset((d,))), Expire(frozenset((d,)))) for d in devices)
        submitted = (self._gate.ledger.submit(end) for end in ends)
        for outcome in await asyncio.gather(*submitted, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, NotFound):
                raise outcome  # a device that is gone holds up no other

    async def settled_events(self) -> int:
        self._check_alive()
        return await self._gate.reader.settled_events()

    async def decide(self, request: LockRequest) -> Answer:
        self._check_alive()
        if self._run.operation.rule.kind is not Kind.LOCK:
            raise HouseRuleBroken(f"{self._run.operation.name} is not a lock operation")
        answer = await self._gate.submit_lock(self._run, request)
        self.committed = True
        return answer

    async def _fenced(self, claim: ClaimRow, effect: Effect[Any], *, clears_uncertain: bool) -> Receipt:
        """What an admitted operation records: the fence is checked inside the transaction that records it."""
        request = Fence(claim.claim_id, self._gate.incarnation, clears_uncertain=clears_uncertain)
        target = Target(devices=frozenset(claim.tickets))
        receipt = await self._gate.ledger.submit(Submission(target, request, effect))
        if isinstance(receipt.answer, Refused):
            raise refusal(receipt.answer)
        return receipt

    # ------------------------------------------------------------------------------ devices

    def permit_read(self) -> Permit[Read]:
        self._check_alive()
        if self._permit is None:
            self._permit = self._issue()
        return self._permit

    def permit_write(self) -> Permit[Write]:
        permit = self.permit_read()
        if permit.reach is not Write:
            raise HouseRuleBroken(f"{self._run.operation.name} may read from the device, not write to it")
        return permit  # type: ignore[return-value]

    async def connect(self, device_id: int) -> DeviceConnection:
        self._check_alive()
        permit = self.permit_read()
        self._gate.seal.check(permit, device_id)

        async def find(transaction: Transaction) -> tuple[str, Credentials]:
            device = await transaction.inventory.device(device_id)
            return device.platform, await transaction.inventory.credentials(device_id)

        platform, credentials = await self._gate.reader.read(find)
        connection = self._gate.drivers.driver(platform).connect(device_id, credentials, self._gate.seal)
        self._connections.append((device_id, connection, credentials))
        return connection

    async def connect_host(self, platform: str, credentials: Credentials) -> DeviceConnection:
        self._check_alive()
        if self._run.operation.rule.scope is not Scope.HOST:
            raise HouseRuleBroken(f"{self._run.operation.name} reaches devices, not hosts")
        permit = self.permit_read()
        self._gate.seal.check(permit, NO_DEVICE)
        driver = self._gate.drivers.driver(platform)
        await self._refuse_enrolled(credentials)
        connection = driver.connect(NO_DEVICE, credentials, self._gate.seal)
        self._connections.append((NO_DEVICE, connection, credentials))
        return connection

    async def _refuse_enrolled(self, credentials: Credentials) -> None:
        """An enrolled device is reached as the device it is, however its host is called here and there."""

        async def look(transaction: Transaction) -> set[str]:
            await transaction.inventory.check_unknown(credentials)
            return enrolled_names((await transaction.inventory.devices({}, Page()))[0])

        names = await self._gate.reader.read(look)
        for spelled in await spellings(credentials, names):
            await self._gate.reader.read(lambda tx, other=spelled: tx.inventory.check_unknown(other))  # type: ignore[misc]

    def _issue(self) -> Permit[Read]:
        run, seal = self._run, self._gate.seal
        rule = run.operation.rule
        if not rule.reaches_device:
            raise HouseRuleBroken(f"{run.operation.name} does not reach devices")
        if run.claim is None:
            return seal.issue_read(frozenset((target_of(run.operation).target_id,)), run.operation.name, None)
        devices = frozenset(run.claim.tickets) if rule.scope is not Scope.HOST else frozenset((NO_DEVICE,))
        if rule.claim is Claim.EXCLUSIVE:
            return seal.issue_write(devices, run.operation.name, run.claim.claim_id)
        return seal.issue_read(devices, run.operation.name, run.claim.claim_id)

    # ------------------------------------------------------------------------------ composites and end

    async def execute(self, operation: Operation) -> object:
        self._check_alive()
        return await self._gate.execute_part(self._run, operation)

    async def close(self) -> None:
        """End it all: connections first, while the permit still lets them give up the device's own lock.

        What was done is done: a connection that does not close changes nothing of how the operation ended.
        """
        try:
            for device_id, connection, credentials in self._connections:
                await self._hang_up(connection)
                await self._keep_learned(device_id, connection.learned, credentials)
        finally:
            if self._permit is not None:
                self._gate.seal.spend(self._permit)
            self._alive = False

    async def _hang_up(self, connection: DeviceConnection) -> None:
        try:
            await connection.close()
        except Exception:
            log.exception("a device connection did not close", operation=self._run.operation.name)

    async def _keep_learned(self, device_id: int, learned: Mapping[str, str], used: Credentials) -> None:
        """A key trusted on first use is pinned; if it cannot be now, the next connection asks and pins again.

        It is that of the host we spoke to: nothing is kept where the device is said to be elsewhere meanwhile.
        """
        if not learned or device_id == NO_DEVICE:
            return

        async def keep(transaction: Transaction) -> None:
            now = await transaction.inventory.credentials(device_id)
            if _way_in(now) == _way_in(used):
                await transaction.inventory.learn_parameters(device_id, learned)

        try:
            await self._gate.ledger.write(keep)
        except SdmError as error:
            log.warning("what a device showed of itself was not kept", device_id=device_id, code=error.code)

    def _check_alive(self) -> None:
        if not self._alive:
            raise HouseRuleBroken(f"{self._run.operation.name} has ended; nothing can be done in its name any more")


def _way_in(credentials: Credentials) -> tuple[object, ...]:
    """What decides whom a connection reaches, and what is expected of it."""
    return credentials.address, credentials.secondary_address, dict(credentials.parameters)


def target_of(operation: Operation) -> Target:
    """The devices an operation is about, by its rule's scope and its own fields."""
    scope = operation.rule.scope
    match scope:
        case Scope.SERVER | Scope.HOST:
            return Target()
        case Scope.DEVICE:
            return Target(scope, operation.device_id)  # type: ignore[attr-defined]
        case Scope.DEVICES:
            return Target(scope, devices=frozenset(operation.device_ids))  # type: ignore[attr-defined]
        case Scope.NETWORK_FUNCTION:
            return Target(scope, operation.nf_id)  # type: ignore[attr-defined]
        case Scope.FUNCTION_GROUP:
            return Target(scope, operation.group_id, within=operation.nf_id)  # type: ignore[attr-defined]
        case Scope.DEVICE_GROUP:
            return Target(scope, operation.group_id)  # type: ignore[attr-defined]
        case _:
            assert_never(scope)
