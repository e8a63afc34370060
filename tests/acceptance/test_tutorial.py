"""The pages with commands, run as they stand: against a real server, every command, every reply."""

from pathlib import Path

import pytest

from docs.replay import Block, Step, blocks, comparable, differences, replay, rewritten, steps
from tests.machine import tool

ROOT = Path(__file__).parents[2]
PAGES = [
    "docs/tutorial.md",
    "docs/howto/enrol-devices.md",
    "docs/howto/import-an-inventory.md",
    "docs/howto/lock-from-a-script.md",
    "docs/howto/probe-a-device.md",
    "docs/howto/read-the-audit-trail.md",
    "docs/howto/run-a-server.md",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_command_runs_and_every_reply_is_as_shown(name: str, tmp_path: Path) -> None:
    tool("curl")
    page = (ROOT / name).read_text()
    ran = replay(page, tmp_path)
    assert len(ran) > 3
    assert differences(ran) == []


def test_a_page_with_a_failing_command_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no such word"):
        replay("```sh\necho no such word >&2; false\n```\n\n```sh\necho never\n```\n", tmp_path)
    assert not (tmp_path / "1.out").exists()


def test_a_wrong_reply_is_told_and_put_right(tmp_path: Path) -> None:
    page = '```sh\necho \'{"a": 1, "since": "2026-11-23T10:02:11Z"}\'\n```\n\n```json\n{"a": 2}\n```\nEnd\n'
    ran = replay(page, tmp_path)
    assert len(differences(ran)) == 1
    right = rewritten(page, ran)
    assert right == page.replace('{"a": 2}', '{"a": 1, "since": "2026-11-23T10:02:11Z"}')
    later = [(Step(s.block, blocks(right)[1]), text.replace("11Z", "12Z")) for s, text in ran]
    assert differences(later) == []
    assert rewritten(right, later) == right


def test_output_that_the_page_does_not_show_is_told(tmp_path: Path) -> None:
    assert differences(replay("```sh\necho surprise\n```\n\nProse.\n\n```text\nsurprise\n```\n", tmp_path))


def test_what_is_run_and_what_is_not() -> None:
    page = (
        "```console\n$ A=b .venv/bin/opensdm demo --data x\n```\n```console\n# systemctl start opensdm\n```\n"
        "```sh\necho 1\n```\n\n```text\n1\n```\n```python add.py\nprint()\n```\n```sh\necho 2\n```\n"
    )
    found = [(step.server, step.block.text, step.reply and step.reply.text) for step in steps(page)]
    assert found == [
        ("A=b .venv/bin/opensdm demo --data x", "$ A=b .venv/bin/opensdm demo --data x\n", None),
        (None, "echo 1\n", "1\n"),
        (None, "echo 2\n", None),
    ]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("at 2026-11-23T10:02:11Z", "at 2027-01-01T00:00:00Z", True),
        ("https://127.0.0.1:8443/rest", "https://127.0.0.1:40001/rest", True),
        ('{"code": "DEVICE_LOCKED"}', '{"code":"DEVICE_LOCKED"}', True),
        ('{"code":"DEVICE_LOCKED"}', '{"code":"DEVICE_BUSY"}', False),
        ('{"epoch":1}', '{"epoch":2}', False),
        ("HTTP 204", "HTTP 400", False),
    ],
)
def test_only_what_always_differs_is_passed_over(one: str, other: str, alike: bool) -> None:
    assert (comparable(one) == comparable(other)) is alike


def test_blocks_are_found_where_they_lie() -> None:
    page = "Text\n```sh add.sh\necho\n```\nmore\n"
    (block,) = blocks(page)
    assert block == Block("sh", "add.sh", "echo\n", page.index("echo"), page.index("echo") + 5)
