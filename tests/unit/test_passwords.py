"""Password hashing: right and wrong, unknown users, the standard's parameters, and the event loop left alone."""

import asyncio
import re
import threading
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from pwdlib.hashers.argon2 import Argon2Hasher

from opensdm.core.ports import Passwords
from opensdm.passwords import Argon2Passwords, Cost

CHEAP = Cost(passes=1, memory_kib=64, lanes=1)


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    made = Argon2Passwords(CHEAP)
    yield made
    made.close()


async def test_the_right_password_verifies_and_another_does_not(passwords: Passwords) -> None:
    known = await passwords.hash("correct-horse-7")
    assert await passwords.verify("correct-horse-7", known)
    assert not await passwords.verify("correct-horse-8", known)
    assert not await passwords.verify("", known)
    assert not await passwords.verify("correct-horse-7\0", known)


async def test_two_hashes_of_one_password_differ(passwords: Passwords) -> None:
    assert await passwords.hash("correct-horse-7") != await passwords.hash("correct-horse-7")


async def test_default_cost_is_argon2id_with_19_mib_and_two_passes() -> None:
    made = Argon2Passwords()
    try:
        stored = await made.hash("correct-horse-7")
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        # argon2-cffi itself, which is not ours, agrees.
        assert PasswordHasher().verify(stored, "correct-horse-7")
    finally:
        made.close()


async def test_hashes_of_another_cost_still_verify(passwords: Passwords) -> None:
    dearer = Argon2Passwords(Cost(passes=2, memory_kib=128, lanes=2))
    try:
        assert await passwords.verify("correct-horse-7", await dearer.hash("correct-horse-7"))
    finally:
        dearer.close()


@pytest.mark.parametrize("stored", [None, "!", "", "plain", "$argon2id$v=19$m=64,t=1,p=1$AAAA"])
async def test_what_is_no_hash_never_verifies(passwords: Passwords, stored: str | None) -> None:
    for password in ("", "!", "plain", "correct-horse-7"):
        assert not await passwords.verify(password, stored)


@pytest.mark.parametrize("stored", [None, "!"])
async def test_an_unknown_user_costs_one_real_verification(monkeypatch: pytest.MonkeyPatch, stored: str | None) -> None:
    """Not by the clock: the hash that is computed for nobody has the cost of everyone's."""
    computed: list[str] = []
    real = Argon2Hasher.verify

    def counted(self: Argon2Hasher, password: str | bytes, hash: str | bytes) -> bool:
        computed.append(str(hash))
        return real(self, password, hash)

    monkeypatch.setattr(Argon2Hasher, "verify", counted)
    made = Argon2Passwords(Cost(passes=3, memory_kib=96, lanes=1))
    try:
        mine = await made.hash("correct-horse-7")
        await made.verify("whatever-7", stored)
    finally:
        made.close()
    assert len(computed) == 1
    shape = re.compile(r"^(\$argon2id\$v=19\$m=96,t=3,p=1\$)([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$")
    ours, theirs = shape.match(mine), shape.match(computed[0])
    assert ours and theirs
    assert [len(part) for part in ours.groups()] == [len(part) for part in theirs.groups()]


async def test_at_most_two_hashes_at_once_and_never_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, places = 0, 0, set()
    guard, gathered = threading.Lock(), threading.Barrier(2, timeout=20)
    real = Argon2Hasher.hash

    def watched(self: Argon2Hasher, password: str | bytes, *, salt: bytes | None = None) -> str:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
            places.add(threading.current_thread())
        gathered.wait()  # two always run at once, so a third would be seen
        with guard:
            running -= 1
        return real(self, password, salt=salt)

    monkeypatch.setattr(Argon2Hasher, "hash", watched)
    made = Argon2Passwords(CHEAP)
    try:
        await asyncio.gather(*(made.hash(f"correct-horse-{n}") for n in range(8)))
    finally:
        made.close()
    assert most == 2
    assert threading.main_thread() not in places
