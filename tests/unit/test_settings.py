"""Settings: where they come from, in which order, and what is said of wrong ones."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from opensdm.core.errors import InvalidRequest
from opensdm.core.identity import SessionPolicy
from opensdm.doors.clock import ClockSettings
from opensdm.doors.rest.settings import RestSettings
from opensdm.settings import SessionSettings, Settings, load_settings, split_listen


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENSDM_")]:
        monkeypatch.delenv(name)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "opensdm.toml").write_text(
        'listen = "127.0.0.1:1"\nplain_http = true\n[session]\nuser_idle_s = 1\nadmin_idle_s = 1\n'
    )
    assert load_settings(data=tmp_path).listen == "127.0.0.1:1"
    monkeypatch.setenv("OPENSDM_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("OPENSDM_SESSION_USER_IDLE_S", "2")
    found = load_settings(data=tmp_path)
    assert (found.listen, found.plain_http) == ("127.0.0.1:2", True)
    assert (found.session.user_idle_s, found.session.admin_idle_s) == (2, 1)
    assert load_settings(data=tmp_path, listen="127.0.0.1:3", plain_http=None).listen == "127.0.0.1:3"


def test_the_data_directory_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="--data"):
        load_settings()
    monkeypatch.setenv("OPENSDM_DATA", str(tmp_path))
    assert load_settings().data == tmp_path
    assert load_settings().database_url == f"sqlite:///{tmp_path}/opensdm.sqlite3"


def test_host_names_come_as_a_list_or_separated_by_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "opensdm.toml").write_text('[tls]\nhosts = ["sdm.example", "192.0.2.1"]\n')
    assert load_settings(data=tmp_path).tls.hosts == ("sdm.example", "192.0.2.1")
    monkeypatch.setenv("OPENSDM_TLS_HOSTS", " other.example ,::1")
    assert load_settings(data=tmp_path).tls.hosts == ("other.example", "::1")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nonsense = 1", "nonsense"),
        ("[log]\ncolour = 1", "log.colour"),
        ("[session]\nuser_idle_s = -1", "session.user_idle_s"),
        ('[lock]\nlive_reads = "open"', "lock.live_reads"),
        ('[node]\nname = "a b"', "node.name"),
        ('database = "mysql://root:s3cret@db/x"', "database"),
        ("[tls\nhosts", "opensdm.toml"),
    ],
)
def test_what_is_wrong_is_named_and_its_value_is_not(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "opensdm.toml").write_text(text)
    with pytest.raises(InvalidRequest) as refused:
        load_settings(data=tmp_path)
    assert name in refused.value.message and "s3cret" not in refused.value.message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("127.0.0.1:8443", ("127.0.0.1", 8443)),
        ("[::1]:0", ("::1", 0)),
        (":8443", ("0.0.0.0", 8443)),
        ("sdm.example:443", ("sdm.example", 443)),
    ],
)
def test_listening_addresses(value: str, expected: tuple[str, int]) -> None:
    assert split_listen(value) == expected


@pytest.mark.parametrize("value", ["8443", "a:b", "::1:80", "1.2.3.4:65536", "[::g]:80", "h:-1", "h:", "[::1]", "h:٣"])
def test_what_is_no_listening_address(value: str) -> None:
    with pytest.raises(ValueError, match=r"address|IPv6|Octet|digit|hex"):
        split_listen(value)


def _fields(model: type[BaseModel], prefix: str = "") -> list[tuple[str, FieldInfo]]:
    found = []
    for name, field in model.model_fields.items():
        found.append((prefix + name, field))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += _fields(field.annotation, f"{prefix}{name}.")
    return found


def test_every_setting_is_explained_in_a_sentence() -> None:
    named = _fields(Settings)
    assert len(named) > 25
    assert [name for name, field in named if not (field.description or "").endswith(".")] == []


def test_defaults_are_those_of_the_parts_they_set(tmp_path: Path) -> None:
    found = load_settings(data=tmp_path)
    rest = RestSettings()
    ours: dict[str, Any] = {name: getattr(found.rest, name) for name in type(found.rest).model_fields}
    assert ours == {name: getattr(rest, name) for name in ours}
    policy = SessionPolicy()
    assert SessionSettings() == SessionSettings(
        admin_idle_s=policy.admin_idle_s,
        user_idle_s=policy.user_idle_s,
        absolute_s=policy.absolute_s,
        max_per_user=policy.max_sessions,
    )
    assert (found.poll.interval_s, found.poll.concurrency) == (ClockSettings().interval_s, ClockSettings().concurrency)
