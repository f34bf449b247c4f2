"""One file of a model or resource in NVIDIA's registry, by its own protocol and without its SDK.

`ngc_lookup` has the protocol, `ngc_calls` who asks and what goes wrong, `ngc_reply` the bytes.
"""

from __future__ import annotations

from aisio.errors import AccessError
from aisio.records import RetryPolicy
from aisio.resources.origins.ngc.lookup import find_file, readable_version, sign
from aisio.resources.origins.ngc.registry import Registry
from aisio.resources.origins.ngc.settings import NgcSettings, load_ngc_settings
from aisio.resources.origins.ngc.signed_url import ListedFile, NgcReply, open_signed
from aisio.resources.origins.ngc.target import Kind, NgcTarget
from aisio.transport.retries import Attempts, retry


class NgcOrigin:
    """One file of a model or resource; see `aisio.resources.download.download.Origin`.

    Nothing is asked, and no setting read, before it is opened.

    Args:
        target: `[org/[team/]]name[:version]`; the latest version where it names none, and the
            organisation of the settings where it names none.
        kind: "model" or "resource".
        filename: Path of the file in the target; or its last parts, where only one file has them.
        settings: Where the registry is and who asks; without it from environment and ~/.ngc/config.
        use_guest_if_key_invalid: Go on as a guest where the key is refused and a guest is not.
        retry: For what may pass by itself; the default policy if None.

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
        self._guest_is_enough = use_guest_if_key_invalid
        self._policy = retry or RetryPolicy()
        self._registry: Registry | None = None
        self._file: ListedFile | None = None
        self._signed: str | None = None

    def __repr__(self) -> str:
        return f"NgcOrigin({self.url!r})"

    def open(self, start: int = 0) -> NgcReply:
        """Open the file from a byte on; from 0 where it has no such byte, or there are no ranges.

        Raises:
            NotFoundError: No such model, version or file; the text tells which, and near names.
            ConflictError: The version is not complete, or several files have the name.
            AccessError: The key is refused (then a ValueError too), the licence is not accepted, a
                guest may not see it, or TLS failed.
            UnavailableError: The registry cannot be reached; after some tries.
            ConfigError: Key, addresses or organisation cannot be meant.
            StorageError: The registry does not answer as one.
        """
        return retry(lambda: self._open(start), Attempts(self._policy))

    def _open(self, start: int) -> NgcReply:
        file = self._found()
        if file.size_bytes is not None and start >= file.size_bytes:
            start = 0
        try:
            return open_signed(self._address(file), file, start)
        except AccessError as error:
            self._signed = None
            if error.status is None:
                raise
            # A presigned URL is good for some minutes only.
            return open_signed(self._address(file), file, start)

    def _found(self) -> ListedFile:
        if self._file is None:
            with self._asked() as registry:
                self._target = readable_version(registry, self._target)
                self._file = find_file(registry, self._target, self._filename)
        return self._file

    def _address(self, file: ListedFile) -> str:
        if self._signed is None:
            with self._asked() as registry:
                self._signed = sign(registry, self._target, file)
        return self._signed

    def _asked(self) -> Registry:
        """Return the registry, having read the settings when it is asked first."""
        if self._registry is None:
            settings = self._settings or load_ngc_settings()
            self._target = settings.complete(self._target)
            self._registry = Registry(
                settings,
                url=self.url,
                kind=self._kind,
                use_guest_if_key_invalid=self._guest_is_enough,
                retry=self._policy,
            )
        return self._registry
