"""How long a large configuration takes to keep and to read on SQLite, and what its versions weigh.

    python bench/configuration_store.py [ELEMENTS]

Elements are like a session border controller's: a dozen attributes each, most of them in three types, the rest in many
small ones. The slowest wait of another coroutine meanwhile says what the event loop's users feel.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from opensdm.core.element import Element
from opensdm.core.versions import Source, VersionNote
from opensdm.testing import OpenStore, open_store

NOTE = VersionNote(Source.LOAD, "bench", "r-1", "SCZ910")
SMALL_TYPES, IN_SMALL = 30, 100
LARGE_TYPES = ("localPolicy", "accessControl", "realmConfig")
VERSIONS = 10
TICK_S = 0.001


def element(path: str, number: int) -> Element:
    attributes = {"id": f"{path}-{number:06}", "descr": f"customer {number * 7919 % 100_003}, site {number % 97}"}
    attributes |= {f"attribute{n}": ("enabled", "", "0", f"192.0.2.{number % 256}")[(n + number) % 4] for n in range(9)}
    child = Element(f"{path}/nextHop", {"name": f"peer-{number % 1000}", "cost": str(number % 10)})
    return Element(path, {**attributes, "secret": f"{number * 104_729:x}"}, (child,))


def configuration(size: int) -> list[Element]:
    small = [element(f"small{t}", n) for t in range(SMALL_TYPES) for n in range(IN_SMALL)]
    left = max(0, size - len(small))
    large = [element(path, n) for t, path in enumerate(LARGE_TYPES) for n in range((left + t) // len(LARGE_TYPES))]
    return [*large, *small]


@asynccontextmanager
async def timed(what: str) -> AsyncIterator[None]:
    """Prints how long the block took, and the longest that a coroutine beside it was kept waiting."""
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK_S)
            worst = max(worst, time.perf_counter() - before - TICK_S)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(2 * TICK_S)
    begun = time.perf_counter()
    yield
    took = time.perf_counter() - begun
    watcher.cancel()
    print(f"{what:52} {took * 1000:9.1f} ms   loop held {worst * 1000:6.1f} ms")


async def measure(store: OpenStore, elements: Sequence[Element]) -> None:
    device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id

    async def save(content: Sequence[Element], *paths: str) -> None:
        await store.write(lambda tx: tx.configurations.save_configuration(device_id, content, NOTE, paths or None))

    async def read(*paths: str) -> int:
        found = await store.read(lambda tx: tx.configurations.configuration(device_id, paths or None))
        return 0 if found is None else len(found.elements)

    small = [e for e in elements if e.path == "small7"]
    async with timed(f"save {len(elements)} elements, all new"):
        await save(elements)
    async with timed("save them again, unchanged"):
        await save(elements)
    async with timed("read all"):
        assert await read() == len(elements)
    async with timed(f"read one type of {len(small)}"):
        assert await read("small7") == len(small)
    async with timed(f"save one type of {len(small)}, one of them changed"):
        await save([element("small7", 10**6), *small[1:]], "small7")
    ((chunks,),) = await store.rows("SELECT count(*) FROM config_chunk")
    print(f"{'chunks':52} {chunks:9}")


async def weigh(store: OpenStore, elements: list[Element]) -> None:
    """The database before and after ten more versions of one changed element each."""
    device_id = (await store.add_device("edge-b", "192.0.2.2")).device_id
    before = await size(store)
    for number in range(VERSIONS):
        place = number * len(elements) // VERSIONS
        elements[place] = element(elements[place].path, 10**6 + number)
        content = list(elements)
        await store.write(lambda tx, c=content: tx.configurations.add_version(device_id, c, NOTE))  # type: ignore[misc]
    after = await size(store)
    print(f"{'database with the first version':52} {before / 1e6:9.2f} MB")
    print(f"{f'after {VERSIONS} more, one element changed in each':52} {after / 1e6:9.2f} MB")


async def size(store: OpenStore) -> int:
    ((used,),) = await store.rows("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
    return int(used)


async def main(elements: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with open_store(f"sqlite:///{directory}/opensdm.db", Path(directory)) as store:
            content = configuration(elements)
            await measure(store, content)
            await weigh(store, content)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
