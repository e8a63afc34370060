"""Sealing secrets, and the file with the keys."""

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from opensdm.core.errors import StoreUnavailable
from opensdm.stores.secrets import SecretBox


def test_a_new_key_file_is_its_owners_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealed = SecretBox.create(path).seal(b"s3cret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"s3cret" not in sealed
    assert SecretBox.load(path).open(sealed) == b"s3cret"
    with pytest.raises(FileExistsError):
        SecretBox.create(path)


def test_keys_rotate(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    old = SecretBox.create(path)
    sealed = old.seal(b"before")
    path.write_bytes(Fernet.generate_key() + b"\n" + path.read_bytes())
    rotated = SecretBox.load(path)
    assert rotated.open(sealed) == b"before"
    assert rotated.key_check() == old.key_check()
    with pytest.raises(StoreUnavailable):
        old.open(rotated.seal(b"after"))


def test_key_checks_tell_keys_apart_and_nothing_of_them() -> None:
    first, second = Fernet.generate_key(), Fernet.generate_key()
    assert SecretBox([first]).key_check() == SecretBox([first]).key_check() != SecretBox([second]).key_check()
    assert SecretBox([first]).key_check() not in first.decode()


def test_what_was_altered_does_not_open() -> None:
    box = SecretBox([Fernet.generate_key()])
    sealed = bytearray(box.seal(b"s3cret"))
    sealed[20] = sealed[20] ^ 1
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        box.open(bytes(sealed))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"not a key\n", b"c2hvcnQ=\n"])
def test_damaged_key_files_are_refused_without_their_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret.key"
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable) as refused:
        SecretBox.load(path)
    assert "not a key\n" not in refused.value.message and "c2hv" not in refused.value.message


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"secret\.key"):
        SecretBox.load(tmp_path / "secret.key")


def test_digests_tell_contents_apart_and_need_the_key() -> None:
    old, other = Fernet.generate_key(), Fernet.generate_key()
    box = SecretBox([old])
    assert box.digest(b"a") == SecretBox([other, old]).digest(b"a") != box.digest(b"b")
    assert box.digest(b"a") != SecretBox([other]).digest(b"a")
    assert len(box.digest(b"a")) == 20 and len(box.digest(b"a", 1)) == 1
