"""App: authentication, routes, and errors in AIStore's form.

The gateway uses aiohttp, because its C parser and asyncio's sendfile leave little between the
socket and the file, and because most machines that train models have it already, through fsspec. It
uses aiohttp's low-level server, without its router and FileResponse. That is three times as fast
for small objects (10,000 a second on one core against 3,200, measured in November 2026).
FileResponse also sends `x.gz` for `x`, guesses types and obeys cache conditions, none of which
AIStore does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.handlers.batch import Batch
from aisio.gateway.handlers.buckets import Buckets
from aisio.gateway.handlers.nodes import Nodes
from aisio.gateway.handlers.object_records import ObjectRecords
from aisio.gateway.handlers.objects import Objects
from aisio.gateway.http.access import SignedRedirects, Tokens
from aisio.gateway.http.bodies import error_body
from aisio.gateway.http.cluster import Cluster
from aisio.gateway.http.exchange import Exchange
from aisio.gateway.http.request_stats import RequestStats
from aisio.gateway.http.responses import TEXT, BodyCutError, make_response, respond_early
from aisio.gateway.jobs.calls import JobCalls
from aisio.gateway.jobs.jobs import Jobs
from aisio.gateway.jobs.promotions import Promotions
from aisio.gateway.logs import RecentLog
from aisio.gateway.options import PROMOTE_ROOT
from aisio.gateway.protocol.refusals import Refusal, unsupported
from aisio.gateway.protocol.signatures import RedirectSigner
from aisio.gateway.protocol.targets import parse_target
from aisio.gateway.s3.api import S3Api
from aisio.gateway.s3.requests import PATH, is_of_s3_client, is_s3_path
from aisio.gateway.s3.signatures import Keys
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.multipart_uploads import MultipartUploads

Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]

_STATUS_OF_ERRNO = {errno.ENOSPC: 507, errno.EDQUOT: 507, errno.EMFILE: 503, errno.ENFILE: 503}
_UNSUPPORTED_PATHS = frozenset({"download", "sort", "etl", "tokens"})
_NO_SNIFF = ("X-Content-Type-Options", "nosniff")
_log = logging.getLogger(__name__)


class App:
    """Handles requests.

    Args:
        folder: The served folder, opened.
        tokens: The tokens that requests must carry; by default none.
        promote_root: The folder below which files can be promoted to objects.
        target_port: A port at which the gateway is a target that accepts only signed redirects;
            None for no such port.
        s3_keys: What requests below /s3 must be signed with; None for no signatures.
        log: What the gateway has logged.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        tokens: Tokens | None = None,
        promote_root: str = PROMOTE_ROOT,
        target_port: int | None = None,
        s3_keys: Keys | None = None,
        log: RecentLog | None = None,
    ) -> None:
        self._tokens = tokens or Tokens(None, None)
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._cluster = Cluster(folder.root)
        self._redirects: SignedRedirects | None = None
        if target_port is not None:
            signer = RedirectSigner(self._cluster.proxy_id)
            self._redirects = SignedRedirects(signer, target_port)
        self._jobs = Jobs(self._cluster.target_id)
        archives = IndexCache()
        promotions = Promotions(folder, self._cluster, self._jobs, promote_root)
        records, uploads = ObjectRecords(folder), MultipartUploads(folder)
        self._objects = Objects(folder, self._cluster, archives, promotions, records, uploads)
        self._s3 = S3Api(folder, records, uploads, keys=s3_keys, tokens=self._tokens)
        buckets = Buckets(folder, self._cluster, archives, self._jobs, uploads)
        self._stats = RequestStats()
        log = log or RecentLog()
        nodes = Nodes(folder.root, self._cluster, self._stats, log, self._redirects)
        calls = JobCalls(self._jobs, self._cluster)
        self.routes: Mapping[str, Mapping[str, Handler]] = {
            "health": dict.fromkeys(("GET", "HEAD", "PUT"), self._health),
            "daemon": {"GET": nodes.get},
            "reverse": {"GET": nodes.get_forwarded},
            "cluster": {"GET": _of_cluster(nodes, calls), "PUT": calls.put},
            "ml": {"GET": Batch(folder, self._cluster, archives, self._jobs).get},
            "buckets": _of_buckets(buckets),
            "objects": _of_objects(self._objects),
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request, send the response, and log it. Client errors never raise."""
        started_ns = time.monotonic_ns()
        self._in_flight += 1
        self._idle.clear()
        try:
            response = await self._respond(request)
            await self._send(request, response)
        except ConnectionError as error:
            if isinstance(error, BodyCutError):
                _log.warning("%s %s: the body was cut: %s", request.method, request.path, error)
            else:
                _log.info(
                    "%s %s: the client closed the connection", request.method, request.raw_path
                )
            response = web.Response(status=499)
            response.force_close()
            if request.transport is not None:
                request.transport.abort()
            return response
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
        elapsed_ns = time.monotonic_ns() - started_ns
        size = (request if request.method == "PUT" else response).content_length or 0
        self._stats.add(request.method, request.raw_path, response.status, size, elapsed_ns)
        # After the whole response, as other servers do: a body that was cut has no such line.
        _log.info("%s %s %d", request.method, request.raw_path, response.status)
        return response

    async def drain(self, timeout_s: float) -> None:
        """Wait for requests in flight: after its shutdown aiohttp no longer reads their bodies."""
        if self._in_flight:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), timeout_s)

    def close(self) -> None:
        """Stop jobs, and wait for background threads to end."""
        self._jobs.close()
        self._objects.close()
        self._s3.close()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._route(request)
        except Refusal as error:
            refusal = error
        except web.RequestPayloadError as error:
            refusal = Refusal(400, f"the request's body cannot be read: {error}")
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            _log.exception("%s %s", request.method, request.raw_path)
            status = _STATUS_OF_ERRNO.get(error.errno or 0, 500)
            refusal = Refusal(status, f"{error.strerror or error}")
        except Exception as error:
            _log.exception("%s %s", request.method, request.raw_path)
            refusal = Refusal(500, f"{type(error).__name__}: {error}")
        response = self._error_response(request, refusal)
        if request.can_read_body and not request.content.at_eof():
            return await respond_early(request, response)
        return response

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Send what has not been sent of a response.

        aiohttp would do so after __call__ has returned. Here the connection does not count as idle
        meanwhile, and errors are logged.
        """
        try:
            await response.prepare(request)
        except ValueError as error:  # a header that cannot be sent
            _log.exception("%s %s", request.method, request.raw_path)
            response = self._error_response(
                request, Refusal(500, f"the response cannot be sent: {error}")
            )
            await response.prepare(request)
        await response.write_eof()

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        if is_s3_path(request.raw_path):
            if self._redirects is not None:
                self._redirects.refuse_at_target(request)
            return await self._s3.handle(request)
        if is_of_s3_client(request):
            message = f"S3 is served below {PATH}: give the client an endpoint that ends in {PATH}"
            raise Refusal(400, message, tcode="InvalidURI")
        exchange = Exchange(request, parse_target(request.raw_path))
        path = exchange.target.parts[0]
        response = await self._admit(exchange) if path != "health" else None
        if response is not None:
            return response
        handlers = self.routes.get(path)
        if handlers is None:
            raise unsupported(f"/v1/{path}") if path in _UNSUPPORTED_PATHS else _unknown(request)
        handler = handlers.get(request.method)
        if handler is not None:
            return await handler(exchange)
        headers = [("Allow", ", ".join(sorted(handlers))), _NO_SNIFF]
        if request.method == "OPTIONS":
            return make_response(headers=headers)
        return make_response(
            b"Method Not Allowed\n", status=405, headers=headers, content_type=TEXT
        )

    async def _admit(self, exchange: Exchange) -> web.Response | None:
        """Check by what right a request comes; return the redirect to the target, if it is for it.

        Raises:
            Refusal: The request is not to be answered.
        """
        redirects = self._redirects
        if redirects is not None and redirects.is_at_target(exchange.request):
            redirects.check_at_target(exchange)
            return None
        self._tokens.check(exchange.request.headers.get("Authorization", ""))
        return None if redirects is None else await redirects.redirect(exchange)

    def _error_response(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        if is_s3_path(request.raw_path) or is_of_s3_client(request):
            return self._s3.error_response(request, refusal)
        path = request.raw_path.partition("?")[0]
        remote = request.transport.get_extra_info("peername") if request.transport else None
        address = f"{remote[0]}:{remote[1]}" if remote else ""
        body = error_body(refusal, self._cluster, method=request.method, path=path, remote=address)
        headers = [*refusal.headers.items(), _NO_SNIFF]
        if request.method == "HEAD":
            return make_response(
                status=refusal.status,
                headers=[*headers, ("Hdr-Error", body.decode())],
                content_type="application/json",
            )
        return make_response(
            body + b"\n", status=refusal.status, headers=headers, content_type="application/json"
        )

    async def _health(self, exchange: Exchange) -> web.StreamResponse:
        return make_response(headers=self._cluster.uptime_headers().items())


def _of_cluster(nodes: Nodes, calls: JobCalls) -> Handler:
    """Return what answers questions about all nodes, and about jobs."""

    async def get(exchange: Exchange) -> web.StreamResponse:
        if exchange.target.query.get("what") == "node_stats":
            return nodes.cluster_stats(exchange)
        return await calls.get(exchange)

    return get


def _of_buckets(buckets: Buckets) -> Mapping[str, Handler]:
    """Return what handles each method of requests about buckets."""
    return {
        **dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), buckets.act),
        "HEAD": buckets.head,
    }


def _of_objects(objects: Objects) -> Mapping[str, Handler]:
    """Return what handles each method of requests about objects."""
    return {
        "GET": objects.get,
        "HEAD": objects.head,
        "PUT": objects.put,
        "POST": objects.act,
        "PATCH": objects.patch,
        "DELETE": objects.delete,
    }


def _unknown(request: web.BaseRequest) -> Refusal:
    return Refusal(400, f"invalid request URI: '{request.method} {request.raw_path}'")
