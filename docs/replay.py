"""Run the commands of a page against a real server, and hold the replies against those the page shows.

    .venv/bin/python docs/replay.py docs/tutorial.md      writes the replies of the page anew

In a page, ```sh blocks are run, all in one shell. A ```console block whose line begins with `$ opensdm` (after
variables, perhaps) starts a server and leaves it running. A block with a file name after its language is saved under
that name. A block right after a ```sh block is what that one printed. Everything else is for people.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

PORTS = (":8443", ":8444")
"""The ports that pages show; each run takes free ones in their place. The first is that of a server without another."""
WIDTH = 116
TIMEOUT_S = 240

_FENCE = re.compile(r"^```(\S*)[ ]?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SERVER = re.compile(r"^\$ ((?:\w+=\S+ )*\S*opensdm (?:demo|serve|simulate)\b.*)$", re.MULTILINE)
_VOLATILE = (
    (re.compile(r"\b[0-9A-F]{32}\."), "SESSION."),
    (re.compile(r"\b[0-9a-f]{32}\b"), "REQUEST"),
    (re.compile(r"\bopensdm-[0-9a-f]{6}\b"), "NODE"),
    (re.compile(r"\bread in [0-9.]+ s\b"), "read in N s"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\"id\": ?\d+"), '"id":N'),
    (re.compile(r"(idleSeconds|upTime)(\W+)\d+"), r"\1\2N"),
    (re.compile(r"\b\d+ s\b"), "N s"),
    (re.compile(r"\s+"), ""),
)
"""What differs from run to run, and what stands for it."""


@dataclass(frozen=True)
class Block:
    """One fenced block. `start` and `end` are where its text lies in the page."""

    language: str
    name: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Step:
    """One block to run, and the block of its reply, where the page shows one."""

    block: Block
    reply: Block | None

    @property
    def server(self) -> str | None:
        """The command that starts a server."""
        found = _SERVER.search(self.block.text) if self.block.language == "console" else None
        return found[1] if found else None


def blocks(page: str) -> list[Block]:
    return [Block(m[1], m[2].strip(), m[3], m.start(3), m.end(3)) for m in _FENCE.finditer(page)]


def steps(page: str) -> Iterator[Step]:
    """What is to be run, in order."""
    found = blocks(page)
    for this, following in zip(found, [*found[1:], None], strict=True):
        step = Step(this, None)
        if this.language == "sh" and not this.name:
            shown = following is not None and following.language not in ("sh", "console") and not following.name
            between = "" if following is None else page[this.end : following.start]
            adjacent = re.fullmatch(r"```\n\n```\S*\n", between) is not None
            yield Step(this, following if shown and adjacent else None)
        elif step.server is not None:
            yield step


def replay(page: str, directory: Path) -> list[tuple[Step, str]]:
    """Run a page in an empty directory; answers what each ```sh block printed. AssertionError when one fails."""
    for block in blocks(page):
        if block.name:
            (directory / block.name).write_text(block.text)
    (directory / ".venv").symlink_to(Path(sys.prefix))
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    todo = list(steps(page))
    script = "\n".join(_lines(todo, ports))
    environment = {n: v for n, v in os.environ.items() if not n.startswith("OPENSDM_") and "proxy" not in n.lower()}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=directory, env=environment, start_new_session=True, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        _end(process)
    assert process.returncode == 0, f"{said}\n{_last_words(directory)}"
    return [
        (step, _replaced((directory / f"{n}.out").read_text(), {free: shown for shown, free in ports.items()}))
        for n, step in enumerate(todo)
        if step.server is None
    ]


def _lines(todo: list[Step], ports: Mapping[str, str]) -> Iterator[str]:
    """The page as one script that stops at the first failure and ends the servers it started."""
    yield "set -eE -o pipefail"
    yield "servers=''; trap 'for s in $servers; do kill $s; done; wait' EXIT"
    for n, step in enumerate(todo):
        if step.server is None:
            yield f"{{\n{_replaced(step.block.text, ports)}}} > {n}.out 2> {n}.err"
            continue
        command = step.server if "--listen" in step.server else f"{step.server} --listen 127.0.0.1{PORTS[0]}"
        yield f'{_replaced(command, ports)} > {n}.out 2> {n}.err & servers="$servers $!"; started=$!'
        yield f"listening() {{ grep -q 'listening on' {n}.out; }}"
        yield "for i in $(seq 600); do if listening; then break; fi; kill -0 $started; sleep 0.1; done; listening"


def _replaced(text: str, ports: Mapping[str, str]) -> str:
    for old, new in ports.items():
        text = text.replace(old, new)
    return text


def _free_ports(count: int) -> list[str]:
    """Below those that systems give out by themselves: nobody takes one before the server of the page does."""
    found: set[str] = set()
    while len(found) < count:
        port = random.randrange(20_000, 32_000)  # noqa: S311 (no secret)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(f":{port}")
    return sorted(found)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_words(directory: Path) -> str:
    """What the last block that ran printed."""
    newest = max((int(path.stem) for path in directory.glob("*.out")), default=0)
    return "".join(
        f"--- block {newest}, {kind}\n{(directory / f'{newest}.{kind}').read_text()}\n" for kind in ("out", "err")
    )


# ------------------------------------------------------------------------------------ comparing


def comparable(text: str) -> str:
    """A reply without what differs from run to run."""
    for pattern, stand_in in _VOLATILE:
        text = pattern.sub(stand_in, text)
    return text


def differences(ran: list[tuple[Step, str]]) -> list[str]:
    """Where a page shows another reply than the one that came."""
    return [
        f"{step.block.text}\nprinted\n{printed}\nand the page shows\n{step.reply.text if step.reply else 'nothing'}"
        for step, printed in ran
        if comparable(printed) != comparable(step.reply.text if step.reply else "")
    ]


# ------------------------------------------------------------------------------------ writing


def rewritten(page: str, ran: list[tuple[Step, str]]) -> str:
    """The page with the replies that came; one that differs in nothing but what always differs stays."""
    for step, printed in reversed(ran):
        if step.reply is not None and comparable(printed) != comparable(step.reply.text):
            page = page[: step.reply.start] + readable(printed) + page[step.reply.end :]
    return page


def readable(text: str) -> str:
    """JSON and XML broken into lines."""
    return "".join(_readable_line(line) + "\n" for line in text.splitlines() if line.strip())


def _readable_line(line: str) -> str:
    if line.startswith("{"):
        return _json(json.loads(line), 0)
    if line.startswith("<?xml"):
        root = etree.fromstring(line.encode())
        etree.indent(root, "  ")
        return line[: line.index("?>") + 2] + "\n" + etree.tostring(root, encoding="unicode")
    return line.rstrip()


def _json(value: Any, indent: int) -> str:
    """Short values on one line, scalars of an object side by side."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list):
        return flat
    begin, end = "{}" if isinstance(value, dict) else "[]"
    items = (
        [f"{json.dumps(name)}: {_json(inner, indent + 2)}" for name, inner in value.items()]
        if isinstance(value, dict)
        else [_json(inner, indent + 2) for inner in value]
    )
    rows: list[str] = []
    for item in items:
        fits = rows and "\n" not in item + rows[-1] and len(rows[-1]) + len(item) + indent + 4 <= WIDTH
        if fits and isinstance(value, dict):
            rows[-1] += f", {item}"
        else:
            rows.append(item)
    pad = " " * (indent + 2)
    return begin + "\n" + ",\n".join(pad + row for row in rows) + "\n" + " " * indent + end


def main() -> None:
    for name in sys.argv[1:]:
        directory = Path(tempfile.mkdtemp(prefix="opensdm-replay-"))
        try:
            page = Path(name).read_text()
            Path(name).write_text(rewritten(page, replay(page, directory)))
        finally:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
