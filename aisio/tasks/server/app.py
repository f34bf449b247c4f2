"""App: access, routes, and errors in Anylearn's form.

Operations are plain functions that block, so they run in threads. What takes longer than a client
waits, storing an upload and starting a task, goes on behind the answer; a server that was killed
takes it up again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from aisio.errors import (
    AccessError,
    AisioError,
    ConfigError,
    ConflictError,
    NotFoundError,
    StorageError,
)
from aisio.tasks.code import git_available
from aisio.tasks.errors import InvalidArguments, ResourceError, TaskStateError
from aisio.tasks.server.access import Access
from aisio.tasks.server.form import Form
from aisio.tasks.server.git_backend import answer_git
from aisio.tasks.server.operations import ROUTES, Context, report_metric
from aisio.tasks.server.transfers import Archives, UnfinishedUploads
from aisio.tasks.service import TaskService

__all__ = ["App"]

MAX_CHUNK_BYTES = 256 * 1024 * 1024
"""The largest chunk of an upload that is taken; it is held in memory."""

_MAX_FORM_BYTES = 4 * 1024 * 1024
_THREADS = 16
_JOBS = 4  # behind answers, so that these never wait for one
_STATUSES: tuple[tuple[type[AisioError], int], ...] = (
    (AccessError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (ConfigError, 400),
    (ResourceError, 409),
    (TaskStateError, 409),
    (StorageError, 502),
)
_log = logging.getLogger("aisio.tasks.server")
Result = TypeVar("Result")


class App:
    """Handles requests.

    Args:
        service: What it offers.
        access: Who may use it.
        public_url: Base URL that clients reach it by; None: the one that they ask for.
    """

    def __init__(
        self, service: TaskService, access: Access, *, public_url: str | None = None
    ) -> None:
        self._service = service
        self._access = access
        self._public_url = public_url
        self._archives = Archives(service)
        self._uploads = UnfinishedUploads(service)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="aisio-tasks")
        self._jobs = ThreadPoolExecutor(_JOBS, thread_name_prefix="aisio-tasks-job")
        self._has_git = git_available() and not service.settings.disable_git

    def application(self) -> web.Application:
        """Return what aiohttp serves."""
        application = web.Application(client_max_size=_MAX_FORM_BYTES, middlewares=[self._guard])
        routes = application.router
        routes.add_post("/api/user/login", self._login)
        routes.add_post("/api/resource/upload", self._upload)
        routes.add_post("/api/resource/upload_finish", self._upload_finish)
        routes.add_route("*", "/api/resource/compression", self._compression)
        routes.add_get("/api/resource/download", self._download)
        for kind in ("final", "intermediate"):
            report = partial(self._report_metric, kind == "final")
            routes.add_post(f"/api/train_task/{kind}_metric", report)
        routes.add_route("*", "/api/{operation:.+}", self._operate)
        routes.add_route("*", "/git/{algorithm_id}.git/{path:.+}", self._git)
        return application

    def resume(self) -> None:
        """Take up what a server that was killed has not finished."""
        for resource_id in self._uploads.all():
            self._jobs.submit(self._uploads.finish, resource_id)
        for row in self._service.train_tasks.unstarted():
            self._jobs.submit(self._start, row.id)

    def close(self) -> None:
        """Wait for what is going on behind answers; what has not begun is taken up next time."""
        self._jobs.shutdown(cancel_futures=True)
        self._threads.shutdown(cancel_futures=True)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPException as error:
            response = _error(error.status, error.reason, error.headers.get("WWW-Authenticate"))
        except AisioError as error:
            status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
            response = _error(status, str(error))
        except ConnectionError:
            raise
        except Exception as error:
            _log.exception("%s %s", request.method, request.path)
            response = _error(500, f"{type(error).__name__}: see the server's log")
        # Not the query: a download has the token in it.
        _log.info("%s %s %d", request.method, request.path, response.status)
        return response

    async def _run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(function, *arguments)
        )

    def _authenticate(self, request: web.Request, token: str | None = None) -> None:
        header = request.headers.get("Authorization", "")
        if not (self._access.admits(header) or (token and self._access.is_token(token))):
            raise web.HTTPUnauthorized(
                reason="log in first: the request has no valid token",
                headers={"WWW-Authenticate": "Bearer"},
            )

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        if not self._access.is_password(form.text("username"), form.text("password")):
            return _error(401, "user or password is wrong")
        user = self._access.user
        return web.json_response({"token": self._access.token, "id": user, "username": user})

    async def _operate(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(request)
        path = request.match_info["operation"]
        operation = ROUTES.get((request.method, path))
        if operation is None:
            raise NotFoundError(f"no such operation: {request.method} {path}")
        form = await _form(request)
        key = request.headers.get("Idempotency-Key", "")
        context = Context(self._service, self._git_base(request), key)
        reply = await self._run(operation, context, form)
        if path == "train_task/add":
            self._jobs.submit(self._start, reply["data"])
        return web.json_response(reply)

    def _start(self, task_id: str) -> None:
        try:
            self._service.train_tasks.start(task_id)
        except Exception:  # a task that cannot be started says so itself
            _log.exception("task %s could not be started", task_id)

    def _git_base(self, request: web.Request) -> str:
        if not self._has_git:
            return ""
        return f"{self._public_url or f'{request.scheme}://{request.host}'}/git/"

    async def _report_metric(self, final: bool, request: web.Request) -> web.StreamResponse:
        """Take a metric; the task's secret stands for a login."""
        secret = request.headers.get("Secret-Key", "")
        form = await _form(request)
        report = partial(report_metric, self._service, form, secret, final=final)
        return web.json_response(await self._run(report))

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(request)
        if not request.content_type.startswith("multipart/"):
            raise InvalidArguments("a chunk is sent as multipart/form-data")
        values: dict[str, str] = {}
        data: bytes | None = None
        parts = await request.multipart()
        while (part := await parts.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise InvalidArguments("a part of the chunk has no name")
            if part.name == "file":
                data = await _read_part(part, MAX_CHUNK_BYTES)
            else:
                values[part.name] = (await _read_part(part, _MAX_FORM_BYTES)).decode(
                    "utf-8", "replace"
                )
        form = Form(values)
        if data is None:
            raise InvalidArguments("the chunk has no part 'file'")
        write = self._service.resources.write_chunk
        await self._run(write, form.text("file_id"), form.integer("chunk"), data)
        return web.json_response({"data": form.text("file_id")})

    async def _upload_finish(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(request)
        form = await _form(request)
        resource_id = form.text("file_id")
        count = form.integer("chunks") if form.optional("chunks") else None
        await self._run(self._uploads.add, resource_id, count)
        self._jobs.submit(self._uploads.finish, resource_id)
        return web.json_response({"data": resource_id})

    async def _compression(self, request: web.Request) -> web.StreamResponse:
        """Make an archive (POST), or tell that it is there (GET)."""
        self._authenticate(request)
        form = await _form(request)
        if request.method == "POST":
            return web.json_response(
                {"data": await self._run(self._archives.make, form.text("file_id"))}
            )
        archive_id = form.text("compression_id")
        await self._run(self._archives.path, form.text("file_id"), archive_id)
        return web.json_response({"data": archive_id, "state": 1})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        self._authenticate(request, form.optional("token"))
        resource_id = form.text("file_id")
        path = await self._run(self._archives.path, resource_id, form.text("compression_id"))
        row = await self._run(self._service.resources.get, resource_id)
        name = row.filename or row.name
        if await self._run(self._archives.is_zip_of_folder, resource_id):
            name = f"{name.removesuffix('.zip')}.zip"
        quoted = "".join(one if one.isalnum() or one in "._-" else "_" for one in name)
        disposition = f'attachment; filename="{quoted}"'
        return web.FileResponse(path, headers={"Content-Disposition": disposition})

    async def _git(self, request: web.Request) -> web.StreamResponse:
        if not self._access.admits_git(request.headers.get("Authorization", "")):
            raise web.HTTPUnauthorized(
                reason="user or password is wrong",
                headers={"WWW-Authenticate": 'Basic realm="aisio tasks"'},
            )
        path = request.match_info["path"]
        writes = "git-receive-pack" in (path, request.query.get("service"))
        get = self._service.resources.get_own if writes else self._service.resources.get
        row = await self._run(get, request.match_info["algorithm_id"], "algorithm")
        repository = self._service.algorithms.repository(row.id)
        if not self._has_git or not repository.is_dir():
            raise NotFoundError(f"algorithm {row.id} has no repository on this server")
        return await answer_git(request, repository, path, self._access.user)


async def _form(request: web.Request) -> Form:
    """Return the values of query and body; anylearn 0.15.5 sends a body with a GET, too."""
    values = dict(request.query)
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            values |= parse_qsl(await request.text(), keep_blank_values=True)
        except (LookupError, UnicodeDecodeError):
            raise InvalidArguments("the form is not in the encoding that it names") from None
    return Form(values)


async def _read_part(part: BodyPartReader, most: int) -> bytes:
    data = bytearray()
    while piece := await part.read_chunk(1024 * 1024):
        data += piece
        if len(data) > most:
            raise web.HTTPRequestEntityTooLarge(most, len(data))
    return bytes(data)


def _error(status: int, message: str, challenge: str | None = None) -> web.Response:
    headers = {} if challenge is None else {"WWW-Authenticate": challenge}
    body = {"message": message, "status": status}
    return web.json_response(body, status=status, headers=headers)
