"""Running virtual SBCs for the tests of this directory."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from tests.simulator.box import Box, Client, LoopThread

Launch = Callable[..., Box]
Connect = Callable[..., Client]


class Lab:
    """The loop that all virtual SBCs run in, and those that are on their way out."""

    def __init__(self) -> None:
        self.loop = LoopThread()
        self.closing: list[Future[None]] = []


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Stopping a server takes a moment: the tests of a module wait for all of them once, in the end."""
    lab = Lab()
    yield lab
    for each in lab.closing:
        each.result(20)
    lab.loop.close()


@pytest.fixture
def launch(lab: Lab) -> Iterator[Launch]:
    """Starts virtual SBCs and stops them all in the end."""
    boxes: list[Box] = []

    def start(**options: Any) -> Box:
        boxes.append(Box(lab.loop, **options))
        return boxes[-1]

    yield start
    lab.closing += [box.begin_close() for box in boxes]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients and closes them all in the end."""
    clients: list[Client] = []

    def make(box: Box, **options: Any) -> Client:
        clients.append(Client(box.url, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.http.close()


@pytest.fixture
def box(launch: Launch) -> Box:
    """One virtual SBC over plain HTTP."""
    return launch()


@pytest.fixture
def client(box: Box, connect: Connect) -> Client:
    """An administrator with a token, without the lock."""
    return connect(box).log_in()


@pytest.fixture
def editor(client: Client) -> Client:
    """An administrator with the configuration lock."""
    assert client.lock() == 204
    return client
