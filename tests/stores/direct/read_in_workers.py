"""Reads in this process, in a worker, and in the worker's worker; run by test_obstore_forks.py."""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

from aisio.errors import NotFoundError, StorageError
from aisio.records import RetryPolicy
from aisio.stores import DirectSettings, DirectStore
from aisio.transport.body import Body
from aisio.urls import ObjectUrl

OBJECT = ObjectUrl.parse("s3://bkt/a")
SCRATCH = ObjectUrl.parse("memory://scratch/a")
KEYS = {"access_key_id": "k", "secret_access_key": "s"}


def tell(*words: object) -> None:
    """Print at once: a forked child has its parent's buffer."""
    print(*words, flush=True)


def start(context: Any, target: Any, *arguments: Any) -> None:
    """Run a worker to its end."""
    worker = context.Process(target=target, args=arguments)
    worker.start()
    worker.join(20)
    if worker.exitcode != 0:
        worker.kill()
        raise SystemExit(f"the worker ended with {worker.exitcode}")


def read(store: DirectStore, method: str, deeper: int) -> None:
    """Read, then have a worker do the same."""
    tell(store.read(OBJECT).decode())
    if deeper:
        start(multiprocessing.get_context(method), read, store, method, deeper - 1)


def read_body(body: Body) -> None:
    """Try to read on what the parent opened."""
    try:
        body.readall()
    except StorageError as error:
        tell("opened-before-the-fork" if "before the fork" in str(error) else error)
    body.close()


def look(store: DirectStore) -> None:
    """Look for what the parent stored."""
    try:
        tell(store.head(SCRATCH).size_bytes)
    except NotFoundError:
        tell("missing")


def main(what: str, method: str, endpoint: str = "") -> None:
    """Do one of the three."""
    context: Any = multiprocessing.get_context(method)
    store = DirectStore(DirectSettings(endpoint, "r", KEYS, retry=RetryPolicy(attempts=1)))
    if what == "store":
        read(store, method, 2)
        tell(store.read(OBJECT).decode())
    elif what == "body":
        with store.get(OBJECT) as body:
            first = body.read(1)
            start(context, read_body, body)
            tell(len(first + body.readall()))
    else:
        store.put(SCRATCH, b"x")
        start(context, look, store)
        tell(store.head(SCRATCH).size_bytes)


if __name__ == "__main__":
    main(*sys.argv[1:])
