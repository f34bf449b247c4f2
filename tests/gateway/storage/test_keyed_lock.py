"""Turns: one at a time for each thing."""

from __future__ import annotations

import asyncio

from aisio.gateway.storage.keyed_lock import Turns


def test_one_at_a_time_for_each_key() -> None:
    """Who comes second waits; who wants another thing does not."""

    async def run() -> list[str]:
        turns, order, go = Turns(), list[str](), asyncio.Event()

        async def work(key: str, name: str) -> None:
            async with turns.of(key):
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


def test_a_turn_ends_with_an_error() -> None:
    """The next one comes."""

    async def run() -> bool:
        turns = Turns()
        try:
            async with turns.of("a"):
                raise ValueError
        except ValueError:
            async with turns.of("a"):
                return True

    assert asyncio.run(run())
