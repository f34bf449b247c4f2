"""Small reads from an asyncio program: aisio in threads, beside aiohttp used by hand.

    AIS_ENDPOINT=http://... python benchmarks/asyncio_reads.py [--reads 1000] [--size 10000]
    python benchmarks/asyncio_reads.py --wait-ms 20

Without AIS_ENDPOINT it starts a gateway. With --wait-ms each answer of it comes that much later, as
from a store that is far away. The ways take turns, and the table shows medians. aiohttp gets the
bytes alone; aisio verifies them as well. See docs/asyncio.md.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from statistics import median

import aiohttp

from aisio import Bucket, Client
from aisio.gateway import Gateway

IN_FLIGHT = 32
TURNS = 7
Way = Callable[[Bucket, list[str]], Coroutine[None, None, int]]


async def by_aiohttp(bucket: Bucket, names: list[str]) -> int:
    """Get each object from the endpoint, and follow its redirect."""
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    limit = asyncio.Semaphore(IN_FLIGHT)
    base = f"{bucket.client.endpoint}/v1/objects/{bucket.name}"
    async with aiohttp.ClientSession(connector=connector) as session:

        async def read(name: str) -> int:
            async with limit, session.get(f"{base}/{name}") as response:
                response.raise_for_status()
                return len(await response.read())

        return sum(await asyncio.gather(*map(read, names)))


async def by_to_thread(bucket: Bucket, names: list[str]) -> int:
    """Read each object in a thread of the default executor."""

    async def read(name: str) -> int:
        return len(await asyncio.to_thread(bucket.object(name).get))

    return sum(await asyncio.gather(*map(read, names)))


async def by_32_threads(bucket: Bucket, names: list[str]) -> int:
    """The same, with a default executor of 32 threads."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(IN_FLIGHT))
    return await by_to_thread(bucket, names)


async def by_group(bucket: Bucket, names: list[str]) -> int:
    """Read all objects in one thread."""

    def read() -> int:
        return sum(len(data) for _, data in bucket.objects(names).get_all(concurrency=IN_FLIGHT))

    return await asyncio.to_thread(read)


WAYS: dict[str, Way] = {
    "aiohttp by hand": by_aiohttp,
    "asyncio.to_thread": by_to_thread,
    "asyncio.to_thread, 32 threads": by_32_threads,
    "to_thread of get_all": by_group,
}


def main() -> None:
    """Store the objects, read them in all ways, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=1000, help="number of objects")
    parser.add_argument("--size", type=int, default=10_000, help="bytes of each")
    parser.add_argument("--wait-ms", type=float, default=0, help="added to each answer")
    options = parser.parse_args()
    with endpoint(options.wait_ms / 1000) as url:
        client = Client(url, direct=not options.wait_ms)
        bucket = client.bucket(f"asyncio-{os.getpid()}").create()
        try:
            names = [f"{number:06}" for number in range(options.reads)]
            with ThreadPoolExecutor(IN_FLIGHT) as threads:
                data = os.urandom(options.size)
                list(threads.map(lambda name: bucket.object(name).put(data), names))
            measure(bucket, names, options.reads * options.size)
        finally:
            bucket.delete()


def measure(bucket: Bucket, names: list[str], size_bytes: int) -> None:
    """Let the ways take turns; print the median of each."""
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(TURNS):
        for way, read in WAYS.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            assert asyncio.run(read(bucket, names)) == size_bytes
            taken[way].append((time.perf_counter() - started, time.process_time() - cpu_started))
    print("| way | reads/s | CPU us/read |\n| --- | --- | --- |")
    for way, times in taken.items():
        wall_s = median(wall for wall, _ in times)
        cpu_s = median(cpu for _, cpu in times)
        print(f"| {way} | {len(names) / wall_s:,.0f} | {cpu_s / len(names) * 1e6:.0f} |")


@contextmanager
def endpoint(wait_s: float) -> Iterator[str]:
    """Return the endpoint to measure, by default that of a gateway in a process of its own."""
    if (url := os.environ.get("AIS_ENDPOINT")) and not wait_s:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder, Gateway(folder) as gateway:
        if not wait_s:
            yield gateway.endpoint
            return
        ours, theirs = multiprocessing.Pipe()
        port = int(gateway.endpoint.rpartition(":")[2])
        relay = multiprocessing.Process(target=run_relay, args=(port, wait_s, theirs))
        relay.start()
        try:
            yield f"http://127.0.0.1:{ours.recv()}"
        finally:
            relay.terminate()
            relay.join()


def run_relay(port: int, wait_s: float, started: Connection) -> None:
    """Relay connections to a port of this machine; what comes back waits for a while."""
    asyncio.run(relay_to(port, wait_s, started))


async def relay_to(port: int, wait_s: float, started: Connection) -> None:
    """Send the relay's own port to the parent, and serve."""

    async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter, wait_s: float) -> None:
        while data := await source.read(1 << 20):
            await asyncio.sleep(wait_s)
            to.write(data)
        to.close()

    async def serve(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        answer, request = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            await asyncio.gather(copy(source, request, 0), copy(answer, to, wait_s))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    started.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    main()
