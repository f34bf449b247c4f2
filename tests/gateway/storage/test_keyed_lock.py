"""KeyedLock: one task at a time for each key."""

from __future__ import annotations

import asyncio

from aisio.gateway.storage.keyed_lock import KeyedLock


def test_one_at_a_time_for_each_key() -> None:
    """The second task for a key waits; one for another key does not."""

    async def run() -> list[str]:
        locks, order, go = KeyedLock(), list[str](), asyncio.Event()

        async def work(key: str, name: str) -> None:
            async with locks.acquire(key):
                order.append(f"{name} begins")
                if name == "first":
                    await go.wait()
                order.append(f"{name} ends")

        first = asyncio.create_task(work("a", "first"))
        second = asyncio.create_task(work("a", "second"))
        other = asyncio.create_task(work("b", "other"))
        await other
        go.set()
        await asyncio.gather(first, second)
        return order

    assert asyncio.run(run()) == [
        "first begins",
        "other begins",
        "other ends",
        "first ends",
        "second begins",
        "second ends",
    ]


def test_an_error_releases_the_lock() -> None:
    """The next task can take it."""

    async def run() -> bool:
        locks = KeyedLock()
        try:
            async with locks.acquire("a"):
                raise ValueError
        except ValueError:
            async with locks.acquire("a"):
                return True

    assert asyncio.run(run())
