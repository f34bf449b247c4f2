"""An OSS server for tests: moto's S3 behind an adaptor that speaks, and checks, OSS's protocol.

The adaptor verifies the signature of each request with the vendor's own signer, and its security
token, but for those to the bucket ANYBODYS. It checks Content-MD5, adds CRC-64s, and takes ranges
as OSS does. It counts requests.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import requests

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from tests.reused_servers import reused_server, serve

KEY_ID = "the-key-id"
SECRET = "the-key-secret"
TOKEN_KEY_ID = "the-temporary-id"
TOKEN = "the-security-token"
REGION = "cn-test"
ANYBODYS = "anybodys"
"""A bucket whose requests may bear any signature."""

CONTROL = "/-/"
"""Paths below this one are not of OSS, and not signed."""

_SECRETS = {KEY_ID: (SECRET, ""), TOKEN_KEY_ID: (SECRET, TOKEN)}
_AUTHORIZATION = re.compile(
    r"OSS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]*)/oss/aliyun_v4_request,"
    r"(?:AdditionalHeaders=([^,]*),)?Signature=([0-9a-f]{64})"
)
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
_NAMESPACE = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
"""S3's XML has one, and OSS's has none."""

_COPIED = "x-oss-copy-source"
_MAX_SKEW = datetime.timedelta(minutes=15)
_SUBDOMAINS_OF = ".oss-cn-test."


class Logged(NamedTuple):
    """A request that the server received.

    Attributes:
        method: HTTP method.
        bucket: The bucket.
        name: The object, "" for none.
        query: The query string.
        range: The Range header; "" for none.
        status: What the server answered.
    """

    method: str
    bucket: str
    name: str
    query: str
    range: str
    status: int


class OssServer:
    """A running server, as a test sees it.

    Args:
        endpoint: Its base URL.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def create(self, bucket: str) -> None:
        """Make a bucket."""
        self._send("PUT", f"{CONTROL}raw/{bucket}")

    def put_raw(self, bucket: str, name: str, data: bytes) -> None:
        """Store an object without a signature."""
        self._send("PUT", f"{CONTROL}raw/{bucket}/{quote(name)}", data)

    def get_raw(self, bucket: str, name: str) -> bytes:
        """Read an object without a signature."""
        return self._send("GET", f"{CONTROL}raw/{bucket}/{quote(name)}")

    def take_log(self) -> list[Logged]:
        """Return the requests since the last call."""
        return [Logged(*entry) for entry in json.loads(self._send("GET", f"{CONTROL}log"))]

    def shorten_pages(self, max_keys: int) -> None:
        """Have the pages of listings no more than so many objects."""
        self._send("POST", f"{CONTROL}pages", str(max_keys).encode())

    def break_next(self, method: str, **what: Any) -> None:
        """Break the next response to a method.

        Args:
            method: HTTP method.
            what: status= and code= of an error; or drop_reply=True, after the request was done; or
                headers= to replace.
        """
        self._send("POST", f"{CONTROL}break", json.dumps({"method": method, **what}).encode())

    def _send(self, method: str, path: str, data: bytes | None = None) -> bytes:
        reply = requests.request(method, self.endpoint + path, data=data, timeout=30)
        reply.raise_for_status()
        return reply.content


@contextmanager
def oss_server() -> Iterator[OssServer]:
    """Give a server without buckets, which runs in a process of its own."""
    with reused_server((__file__,), reset=f"{CONTROL}reset") as endpoint:
        yield OssServer(endpoint)


class Refusal(Exception):
    """An error response of OSS."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Adaptor:
    """The WSGI application.

    Args:
        s3: moto's.
    """

    def __init__(self, s3: Callable[..., Iterable[bytes]]) -> None:
        self._s3 = s3
        self._reset()

    def _reset(self) -> None:
        self._log: list[Logged] = []
        self._breaks: list[dict[str, Any]] = []
        self._max_keys = 1000
        self._completed: set[str] = set()
        self._crcs: dict[tuple[str, str], str] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["RAW_URI"].partition("?")[0]
        if path.startswith(CONTROL):
            status, headers, body = self._control(environ, path.removeprefix(CONTROL))
        else:
            status, headers, body = self._oss(environ, path)
        headers["content-length"] = headers.get("content-length", str(len(body)))
        start(f"{status} Status", list(headers.items()))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _control(self, environ: dict[str, Any], what: str) -> tuple[int, dict[str, str], bytes]:
        body = _body(environ)
        if what == "log":
            log, self._log = self._log, []
            return 200, {}, json.dumps(log).encode()
        if what == "break":
            self._breaks.append(json.loads(body))
            return 200, {}, b""
        if what == "pages":
            self._max_keys = int(body)
            return 200, {}, b""
        if what == "reset":
            self._reset()
            return self._call("POST", "/moto-api/reset", "", {}, b"")
        path = what.removeprefix("raw")
        return self._call(environ["REQUEST_METHOD"], path, "", {}, body)

    def _oss(self, environ: dict[str, Any], path: str) -> tuple[int, dict[str, str], bytes]:
        method, query = environ["REQUEST_METHOD"], environ["QUERY_STRING"]
        headers = {
            name[5:].replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name):
                headers[name.replace("_", "-").lower()] = environ[name]
        host = headers["host"]
        if _SUBDOMAINS_OF in host:
            path = f"/{host.partition(_SUBDOMAINS_OF)[0]}{path}"
        bucket, _, name = path[1:].partition("/")
        broken = self._taken_break(method)
        try:
            if bucket != ANYBODYS:
                _verify(method, environ["RAW_URI"], bucket, unquote(name), headers)
            if "status" in broken:
                raise Refusal(broken["status"], broken["code"])
            status, out, body = self._answer(method, bucket, name, query, headers, _body(environ))
        except Refusal as refusal:
            status, out, body = _refused(refusal, method)
        self._log.append(
            Logged(method, bucket, unquote(name), query, headers.get("range", ""), status)
        )
        if broken.get("drop_reply"):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        out.setdefault("x-oss-request-id", "1")
        replaced = {key.lower(): value for key, value in broken.get("headers", {}).items()}
        return status, out | replaced, body

    def _taken_break(self, method: str) -> dict[str, Any]:
        for index, entry in enumerate(self._breaks):
            if entry["method"] == method:
                return self._breaks.pop(index)
        return {}

    def _answer(
        self, method: str, bucket: str, name: str, query: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        path = f"/{bucket}/{name}"
        if method == "POST" and "uploadId=" in query:
            if query in self._completed:  # moto would complete it again
                raise Refusal(404, "NoSuchUpload")
            self._completed.add(query)
        if "content-md5" in headers and headers["content-md5"] != _md5(body):
            raise Refusal(400, "InvalidDigest")
        kept = {key: headers[str(key)] for key in ["range", "content-type"] if key in headers}
        if _COPIED in headers:
            kept["x-amz-copy-source"] = headers[_COPIED]
        if "range" in kept and headers.get("x-oss-range-behavior") != "standard":
            size = int(self._call("HEAD", path, "", {}, b"")[1].get("content-length", 0))
            if int(kept["range"].rpartition("-")[2] or 0) >= size:
                del kept["range"]  # as OSS does
        query = query.replace("max-keys=1000", f"max-keys={self._max_keys}")
        status, out, data = self._call(method, path, query, kept, body)
        out = {key.replace("x-amz-", "x-oss-"): value for key, value in out.items()}
        if status >= 400 and method == "HEAD":
            code = "NoSuchKey" if status == 404 else "AccessDenied"
            out["x-oss-err"] = base64.b64encode(_error_xml(code)).decode()
        has_crc = name and method in ("GET", "HEAD", "PUT", "POST") and _COPIED not in headers
        if status < 300 and has_crc:
            out |= self._crc(method, path, query, out, body)
        return status, out, data

    def _crc(
        self, method: str, path: str, query: str, out: dict[str, str], body: bytes
    ) -> dict[str, str]:
        if method == "PUT":
            crc = _crc64(body)
        elif method == "POST" and "uploadId=" not in query:
            return {}
        else:
            etag = out.get("etag", "") if method != "POST" else ""
            if not etag or (path, etag) not in self._crcs:
                self._crcs[path, etag] = _crc64(self._call("GET", path, "", {}, b"")[2])
            crc = self._crcs[path, etag]
        return {"x-oss-hash-crc64ecma": crc}

    def _call(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request to moto, and return its answer."""
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path).encode().decode("latin-1"),
            "RAW_URI": path + (f"?{query}" if query else ""),
            "REQUEST_URI": path + (f"?{query}" if query else ""),
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_AUTHORIZATION": _SIGNED,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for key, value in headers.items():
            prefix = "" if key.startswith("content-") else "HTTP_"
            environ[f"{prefix}{key.upper().replace('-', '_')}"] = value
        answer: dict[str, Any] = {}

        def start(status: str, out: list[tuple[str, str]], *more: Any) -> Callable[..., None]:
            answer.update(
                status=int(status[:3]), headers={key.lower(): value for key, value in out}
            )
            return lambda data: None

        data = b"".join(self._s3(environ, start))
        if answer["headers"].get("content-type", "").endswith("/xml") and method != "PUT":
            data = data.replace(_NAMESPACE, b"")
            answer["headers"].pop("content-length", None)
        return answer["status"], answer["headers"], data


def _verify(method: str, uri: str, bucket: str, name: str, headers: dict[str, str]) -> None:
    """Sign a request as its sender must have done, and compare.

    Raises:
        Refusal: They differ, the key is unknown, or the token or the time is wrong.
    """
    from alibabacloud_oss_v2.signer import SignerV4
    from alibabacloud_oss_v2.types import Credentials, HttpRequest, SigningContext

    match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if match is None:
        raise Refusal(403, "AccessDenied")
    key_id, _, region, additional, signature = match.groups()
    if key_id not in _SECRETS:
        raise Refusal(403, "InvalidAccessKeyId")
    secret, token = _SECRETS[key_id]
    if headers.get("x-oss-security-token", "") != token:
        raise Refusal(403, "InvalidSecurityToken" if token else "InvalidAccessKeyId")
    signed_at = datetime.datetime.strptime(headers["x-oss-date"], "%Y%m%dT%H%M%SZ").replace(
        tzinfo=datetime.timezone.utc
    )
    if abs(datetime.datetime.now(datetime.timezone.utc) - signed_at) > _MAX_SKEW:
        raise Refusal(403, "RequestTimeTooSkewed")
    signed = {key: value for key, value in headers.items() if key != "authorization"}
    request = HttpRequest(method, f"http://{headers['host']}{uri}", signed)
    SignerV4().sign(
        SigningContext(
            product="oss",
            region=REGION,
            bucket=bucket,
            key=name,
            request=request,
            credentials=Credentials(key_id, secret, token or None),
            signing_time=signed_at,
            additional_headers=set((additional or "").split(";")) - {""},
        )
    )
    if region != REGION or request.headers["Authorization"].rpartition("=")[2] != signature:
        raise Refusal(403, "SignatureDoesNotMatch")


def _refused(refusal: Refusal, method: str) -> tuple[int, dict[str, str], bytes]:
    body = _error_xml(refusal.code)
    headers = {"content-type": "application/xml"}
    if method == "HEAD":
        headers["x-oss-err"] = base64.b64encode(body).decode()
    return refusal.status, headers, body


def _error_xml(code: str) -> bytes:
    message = "What the server says."
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def _body(environ: dict[str, Any]) -> bytes:
    data: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return data


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def _crc64(data: bytes) -> str:
    from alibabacloud_oss_v2.crc import Crc64

    crc = Crc64(0)
    crc.update(data)
    return str(crc.sum64())


def _serve() -> None:
    import moto.settings
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler

    moto.settings.S3_UPLOAD_PART_MIN_SIZE = 0
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    serve(Adaptor(DomainDispatcherApplication(create_backend_app)))


if __name__ == "__main__":
    _serve()
