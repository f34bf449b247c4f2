"""Get-batch: many objects, or members of archives, in one archive, in the order of the request.

A streamed archive is sent while it is made. A missing object or range then ends it early, as on a
live cluster of one target: the archive is well formed, and shorter. Damaged data closes the
connection instead. For the multipart form all items are opened first, and the response says what is
wrong with which entry.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from aisio.gateway.archives.content import pack
from aisio.gateway.archives.formats import CONTENT_TYPES, format_of_mime, require_lz4
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.handlers.batch_reader import BatchReader, Outcome
from aisio.gateway.handlers.batch_request import BatchItem, BatchMessage, check_entry
from aisio.gateway.http.bodies import json_body
from aisio.gateway.http.cluster import Cluster, new_id
from aisio.gateway.http.exchange import Exchange, decode_message
from aisio.gateway.http.responses import send_pieces
from aisio.gateway.jobs.jobs import Jobs
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, parse_bucket
from aisio.gateway.storage.folder import Folder


class Batch:
    """Get-batch, over HTTP.

    Args:
        folder: The served folder.
        cluster: The ids that the gateway presents.
        archives: The indexes of its archives.
        jobs: Counts the batches, as part of a job for each bucket.
    """

    def __init__(self, folder: Folder, cluster: Cluster, archives: IndexCache, jobs: Jobs) -> None:
        self._folder = folder
        self._cluster = cluster
        self._archives = archives
        self._jobs = jobs

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        """Send the batch; the first request gets a redirect to the address that makes it."""
        path = _path_below_moss(exchange.target.parts)
        if not exchange.is_redirected:
            ids = (f"gbt-{new_id()}", new_id(), "1")
            location = "/".join(("/v1/ml/moss", *path[:1], *ids))
            return await exchange.redirect_to_target(self._cluster.proxy_id, location)
        query = exchange.target.query
        bucket = None
        if len(path) == 4:  # a bucket, and three ids that only AIStore's targets need
            bucket = parse_bucket(path[0], query.get("provider", ""), query.get("namespace", ""))
        message = decode_message(await exchange.read_body(), BatchMessage)
        form = format_of_mime(message.mime) or ".tar"
        if form == ".tar.lz4":
            require_lz4()
        items = self._check_entries(bucket, message)
        reader = BatchReader(
            self._folder, self._archives, continue_on_error=message.continue_on_error
        )
        with self._jobs.share("get-batch", items[0].bucket) as job:
            archive = pack(form, reader.members(items, job))
            content_type = CONTENT_TYPES[form]
            if not message.is_streaming:
                outcomes = await asyncio.to_thread(list, reader.outcomes(items))
                rows = [
                    self._row(item, outcome) for item, outcome in zip(items, outcomes, strict=True)
                ]
                boundary = secrets.token_hex(30)
                archive = _multipart_form(boundary, job.id, rows, archive)
                content_type = f"multipart/mixed; boundary={boundary}"
            response = web.StreamResponse(headers={"Content-Type": content_type})
            return await send_pieces(exchange.request, archive, response)

    def _check_entries(self, bucket: BucketName | None, message: BatchMessage) -> list[BatchItem]:
        """Check the whole request before anything is sent.

        Raises:
            Refusal: It is empty, an entry is not valid, or a bucket does not exist.
        """
        if not message.entries:
            raise Refusal(400, "moss: empty input")
        if bucket is not None:
            self._folder.bucket_path(bucket)
        existing = {bucket}
        items = list[BatchItem]()
        for entry in message.entries:
            item = check_entry(entry, bucket, only_object_names=message.only_object_names)
            if item.bucket not in existing:
                self._folder.bucket_path(item.bucket)
                existing.add(item.bucket)
            items.append(item)
        return items

    def _row(self, item: BatchItem, outcome: Outcome) -> dict[str, Any]:
        """Return what the multipart form says of an item."""
        row: dict[str, Any] = {"objname": item.entry.name}
        if item.path:
            row["archpath"] = item.path
        row |= {"bucket": item.bucket.name, "provider": "ais"}
        if outcome.error:
            row["err_msg"] = f"t[{self._cluster.target_id}]: {outcome.error}"
        if item.entry.opaque:
            row["opaque"] = item.entry.opaque
        return row | {"size": outcome.size_bytes}


def _path_below_moss(parts: tuple[str, ...]) -> list[str]:
    """Return the parts of the path below /v1/ml/moss.

    Raises:
        Refusal: It is another path.
    """
    if len(parts) < 2 or not parts[1]:
        raise Refusal(400, "URL 'v1/ml' is too short: expected 3 items, got 2")
    if parts[1] != "moss":
        raise Refusal(400, f"invalid request URI: 'GET /v1/{'/'.join(parts)}'")
    return [part for part in "/".join(parts[2:]).split("/") if part]


def _multipart_form(
    boundary: str, job_id: str, rows: Sequence[dict[str, Any]], archive: Iterator[bytes]
) -> Iterator[bytes]:
    """Yield the body of the multipart form: the JSON of all items, then the archive."""
    disposition = 'Content-Disposition: form-data; name="{}"'
    file = f'{disposition.format("archive")}; filename="get-batch[{job_id}]"'
    content_type = "Content-Type: application/octet-stream"
    yield f"--{boundary}\r\n{disposition.format('metadata')}\r\n\r\n".encode()
    yield json_body({"uuid": job_id, "out": rows})
    yield f"\r\n--{boundary}\r\n{file}\r\n{content_type}\r\n\r\n".encode()
    yield from archive
    yield f"\r\n--{boundary}--\r\n".encode()
