"""What is measured: each case reads one kind of work with one reader, in a process of its own.

python cases.py CASE ENDPOINT BUCKET    one measurement, as a line of JSON
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Items = Iterator[int]
"""Bytes of payload of each item, as it is delivered."""


def shards_aisio(endpoint: str, bucket: str) -> Items:
    """Samples of all shards, by AISShardReader."""
    from aisio import AISShardReader

    for _, fields in iter(AISShardReader(f"ais://{bucket}/shard-", endpoint=endpoint)):
        yield sum(map(len, fields.values()))


def shards_official(endpoint: str, bucket: str) -> Items:
    """Samples of all shards, by the official package's AISShardReader."""
    from aistore.pytorch import AISShardReader
    from aistore.sdk import Client

    theirs = Client(endpoint).bucket(bucket)
    for _, fields in iter(AISShardReader([theirs], prefix_map={theirs: "shard-"})):
        yield sum(map(len, fields.values()))


def shards_webdataset(endpoint: str, bucket: str) -> Items:
    """Samples of all shards, by webdataset over curl, as its documentation suggests."""
    import webdataset

    from aisio import Client
    from aisio.wire.messages import object_http_url

    client = Client(endpoint)
    shards = client.bucket(bucket).list("shard-")
    urls = [object_http_url(endpoint, client.object(info.url).url) for info in shards]
    pipes = [f"pipe:curl -s -L '{url}'" for url in urls]
    for sample in webdataset.WebDataset(pipes, shardshuffle=False):
        yield sum(len(value) for key, value in sample.items() if not key.startswith("__"))


CASES: dict[str, Callable[[str, str], Items]] = {
    "shards/aisio": shards_aisio,
    "shards/aistore.pytorch": shards_official,
    "shards/webdataset+curl": shards_webdataset,
}


def measure(case: str, endpoint: str, bucket: str) -> dict[str, Any]:
    """Run one case and return its figures, imports left out: they are not part of an epoch."""
    import aistore.pytorch
    import webdataset

    import aisio.datasets  # noqa: F401

    del aistore.pytorch, webdataset
    started, cpu = time.perf_counter(), _cpu_s()
    first_s = 0.0
    count = size_bytes = 0
    for item_bytes in CASES[case](endpoint, bucket):
        first_s = first_s or time.perf_counter() - started
        count += 1
        size_bytes += item_bytes
    return {
        "case": case,
        "items": count,
        "bytes": size_bytes,
        "wall_s": time.perf_counter() - started,
        "cpu_s": _cpu_s() - cpu,
        "first_s": first_s,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _cpu_s() -> float:
    """Return the processor time of this process and of the children it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
