"""What two processes decode that read nothing and send nothing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

from loaders import WORKERS
from measuring import READY, Items


def decode_alone(
    samples: Sequence[bytes], decode: Callable[[bytes], Any], *, epochs: int, size_bytes: int
) -> Items:
    """Decode samples that are in memory, some times each.

    Args:
        samples: What is decoded; each process decodes its part.
        decode: The decoder.
        epochs: How often.
        size_bytes: Size of a decoded sample.
    """

    def decode_share(worker: int) -> None:
        for _ in range(epochs):
            for data in samples[worker::WORKERS]:
                decode(data)

    decode(samples[0])
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=decode_share, args=(number,), daemon=True)
        for number in range(WORKERS)
    ]
    yield READY
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("decoding failed")
    for _ in range(epochs * len(samples)):
        yield size_bytes
