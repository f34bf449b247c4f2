"""PUT of a member of an archive."""

from __future__ import annotations

import asyncio

from aiohttp import web

from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.archives.writes import NEW, put_member
from aisio.gateway.http.exchange import Exchange
from aisio.gateway.http.responses import make_response
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.keyed_lock import KeyedLock
from aisio.gateway.storage.uploads import Upload


class ArchiveWrites:
    """Writes members of archives, over HTTP.

    Args:
        folder: The served folder.
        archives: The indexes of its archives.
    """

    def __init__(self, folder: Folder, archives: IndexCache) -> None:
        self._folder = folder
        self._archives = archives
        self._archive_locks = KeyedLock()

    async def put(self, exchange: Exchange, upload: Upload) -> web.StreamResponse:
        """Receive a member and store it in its archive, one at a time for each archive."""
        last = await exchange.receive(upload)
        async with self._archive_locks.acquire((exchange.target.bucket, exchange.target.name)):
            await asyncio.to_thread(self._store, exchange, upload, last)
        return make_response()

    def _store(self, exchange: Exchange, upload: Upload, last: list[bytes]) -> None:
        target, query = exchange.target, exchange.target.query
        upload.write(last)
        upload.finish(f"{target.bucket.url}/{target.name}")
        pine = exchange.request.headers.get("Ais-Pine", "")
        put_member(
            self._folder,
            self._archives,
            (target.bucket, target.name),
            upload,
            path=query["archpath"],
            mime=query.get("archmime", ""),
            mode=int(pine) if pine in ("0", "1", "2") else NEW,
        )
