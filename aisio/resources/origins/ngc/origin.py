"""One file of a model or resource in NVIDIA's registry, by its own protocol and without its SDK.

`lookup` has the protocol, `registry` sends its requests, and `signed_url` reads the bytes.
"""

from __future__ import annotations

from aisio.errors import AccessError
from aisio.records import RetryPolicy
from aisio.resources.origins.ngc.lookup import find_file, get_signed_url, resolve_version
from aisio.resources.origins.ngc.registry import Registry
from aisio.resources.origins.ngc.settings import NgcSettings, load_ngc_settings
from aisio.resources.origins.ngc.signed_url import ListedFile, NgcResponse, open_signed
from aisio.resources.origins.ngc.target import Kind, NgcTarget
from aisio.transport.retries import Attempts, retry


class NgcOrigin:
    """One file of a model or resource; see `aisio.resources.download.download.Origin`.

    No request is sent, and no settings are read, before it is opened.

    Args:
        target: `[org/[team/]]name[:version]`; without a version the latest, without an organisation
            that of the settings.
        kind: "model" or "resource".
        filename: Path of the file in the target; or the end of the path, if only one file has it.
        settings: Settings for the registry; without it those of the environment and ~/.ngc/config.
        use_guest_if_key_invalid: Continue as a guest if the key is refused and a guest is not.
        retry: Retry policy; the default policy if None.

    Attributes:
        url: For messages: `ngc://{kind}/{target}/{filename}`.

    Raises:
        ConfigError: The target is not of that form.
    """

    def __init__(
        self,
        target: str,
        kind: Kind,
        filename: str,
        *,
        settings: NgcSettings | None = None,
        use_guest_if_key_invalid: bool = True,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.url = f"ngc://{kind}/{target}/{filename}"
        self._target = NgcTarget.parse(target)
        self._kind = kind
        self._filename = filename
        self._settings = settings
        self._use_guest_if_key_invalid = use_guest_if_key_invalid
        self._policy = retry or RetryPolicy()
        self._registry: Registry | None = None
        self._file: ListedFile | None = None
        self._signed_url: str | None = None

    def __repr__(self) -> str:
        return f"NgcOrigin({self.url!r})"

    def open(self, start: int = 0) -> NgcResponse:
        """Open the file from a byte on; from 0 if it has no such byte, or the storage no ranges.

        Raises:
            NotFoundError: No such model, version or file; the text says which, with similar names.
            ConflictError: The version is not complete, or several files have the name.
            AccessError: The key is refused (then a ValueError too), the licence is not accepted, a
                guest may not see it, or TLS failed.
            UnavailableError: The registry cannot be reached; after some attempts.
            ConfigError: Key, addresses or organisation are wrong.
            StorageError: The answer is not one of a registry.
        """
        return retry(lambda: self._open(start), Attempts(self._policy))

    def _open(self, start: int) -> NgcResponse:
        file = self._find_file()
        if file.size_bytes is not None and start >= file.size_bytes:
            start = 0
        try:
            return open_signed(self._get_signed_url(file), file, start)
        except AccessError as error:
            self._signed_url = None
            if error.status is None:
                raise
            # A presigned URL expires after some minutes.
            return open_signed(self._get_signed_url(file), file, start)

    def _find_file(self) -> ListedFile:
        if self._file is None:
            with self._open_registry() as registry:
                self._target = resolve_version(registry, self._target)
                self._file = find_file(registry, self._target, self._filename)
        return self._file

    def _get_signed_url(self, file: ListedFile) -> str:
        if self._signed_url is None:
            with self._open_registry() as registry:
                self._signed_url = get_signed_url(registry, self._target, file)
        return self._signed_url

    def _open_registry(self) -> Registry:
        """Return the registry; the first call reads the settings."""
        if self._registry is None:
            settings = self._settings or load_ngc_settings()
            self._target = settings.complete(self._target)
            self._registry = Registry(
                settings,
                url=self.url,
                kind=self._kind,
                use_guest_if_key_invalid=self._use_guest_if_key_invalid,
                retry=self._policy,
            )
        return self._registry
