from __future__ import annotations

import asyncio
import threading

import pytest

from aisio.gateway.handlers.single_flight import SingleFlight


def test_all_who_wait_for_a_key_share_one_call() -> None:
    """Also those who come while it runs; afterwards the key is free again."""
    calls, release = list[str](), threading.Event()

    def work() -> str:
        release.wait()
        calls.append("work")
        return "result"

    async def main() -> list[str]:
        flight = SingleFlight[str, str](1, "test")
        assert "key" not in flight
        flight.start("key", work)
        assert "key" in flight
        waiting = [asyncio.ensure_future(flight.result("key")) for _ in range(3)]
        await asyncio.sleep(0)
        release.set()
        results = await asyncio.gather(*waiting)
        assert "key" not in flight
        flight.close()
        return results

    assert asyncio.run(main()) == ["result"] * 3
    assert calls == ["work"]


def test_an_error_reaches_all_who_wait() -> None:
    """And the next request starts the work again."""

    def work() -> str:
        raise OSError("disk")

    async def main() -> None:
        flight = SingleFlight[str, str](1, "test")
        flight.start("key", work)
        waiting = [flight.result("key") for _ in range(2)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(error) for error in results] == ["disk", "disk"]
        await asyncio.sleep(0)  # work that has ended leaves in the next round of the loop
        assert "key" not in flight
        flight.close()

    asyncio.run(main())


def test_a_cancelled_request_does_not_stop_the_work() -> None:
    """Others may wait for it."""
    release = threading.Event()

    def work() -> str:
        release.wait()
        return "result"

    async def main() -> str:
        flight = SingleFlight[str, str](1, "test")
        flight.start("key", work)
        other = asyncio.ensure_future(flight.result("key"))
        cancelled = asyncio.ensure_future(flight.result("key"))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        release.set()
        result = await other
        flight.close()
        return result

    assert asyncio.run(main()) == "result"
