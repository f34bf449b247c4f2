"""Repositories over smart HTTP: `git http-backend` answers, as a CGI program (RFC 3875).

Source: git-http-backend(1), "ENVIRONMENT".
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from aisio.config import inherited_environment
from aisio.errors import NotFoundError

__all__ = ["answer_git"]

_SERVICES = frozenset({"git-upload-pack", "git-receive-pack"})
_CHUNK_BYTES = 256 * 1024
_MAX_HEAD_BYTES = 64 * 1024


async def answer_git(
    request: web.Request, repository: Path, path: str, user: str
) -> web.StreamResponse:
    """Answer a request for a bare repository.

    Args:
        request: The request.
        repository: The repository.
        path: What the URL has behind the repository's name.
        user: Who asks; reflogs have the name.

    Raises:
        NotFoundError: It is no request of smart HTTP, or git answers nothing.
    """
    wanted = request.query.get("service") if path == "info/refs" else path
    method = "GET" if path == "info/refs" else "POST"
    if wanted not in _SERVICES or request.method != method:
        raise NotFoundError(f"{request.path} is not one of git's smart HTTP")
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(request, repository, path, user),
        limit=_MAX_HEAD_BYTES,
        start_new_session=True,
    )
    sender = asyncio.create_task(_send_body(request, process))
    try:
        return await _respond(request, process)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        sender.cancel()
        await asyncio.wait([sender])
        await process.wait()


def _environment(request: web.Request, repository: Path, path: str, user: str) -> dict[str, str]:
    compressed = "Content-Encoding" in request.headers  # aiohttp has decompressed the body
    length = None if compressed else request.content_length
    sized = {} if length is None else {"CONTENT_LENGTH": str(length)}
    return {
        **inherited_environment(without=("GIT_",)),
        **sized,
        "GIT_PROJECT_ROOT": str(repository.parent),
        "PATH_INFO": f"/{repository.name}/{path}",
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "REMOTE_USER": user,
        "REMOTE_ADDR": request.remote or "",
    }


async def _send_body(request: web.Request, process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            process.stdin.write(chunk)
            await process.stdin.drain()
    process.stdin.close()


async def _respond(request: web.Request, process: asyncio.subprocess.Process) -> web.StreamResponse:
    assert process.stdout is not None
    try:
        head = await process.stdout.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise NotFoundError(f"git has no answer to {request.path}") from None
    lines = head.decode("latin-1").strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    while chunk := await process.stdout.read(_CHUNK_BYTES):
        await response.write(chunk)
    await response.write_eof()
    return response
