"""GitRemote: where a repository is, and as whom it is reached.

git gets user and password from a pipe, through a credential helper that git runs for one command:

    aisio ── pipe ──> sh -c 'cat /dev/fd/N' ──> git-remote-http ──> Authorization header

So they are in no argument, URL, file or environment variable. The helper is set for scheme, host
and port of the remote alone: a server that redirects to another host does not get them there. The
user's own helpers are switched off for that command. Otherwise git would hand them the password
after it has worked, and `credential.helper=store` writes it to a file.

Source: gitcredentials(7), git-credential(1) "INPUT/OUTPUT FORMAT".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from aisio.errors import ConfigError
from aisio.redaction import redacted

_SCHEMES = ("http", "https", "ssh", "file")
_SCP_FORM = re.compile(r"(?:[^@/:\s-][^@/:\s]*@)?[^@/:\s-][^@/:\s]*:(?!//|:).+")  # git@host:path
_MAX_CREDENTIAL_BYTES = 4096  # both fit into a pipe, so that writing to it never waits


@dataclass(frozen=True)
class GitRemote:
    """A repository that code is pushed to.

    User and password may also stand in the URL; `user` and `password` replace those. Without
    either, git asks the credential helpers that the user has configured.

    Args:
        url: http, https, ssh or file URL, `user@host:path`, or the path of a repository.
        user: User name for http and https.
        password: Password or token for http and https. It is in no repr.

    Raises:
        ConfigError: The URL is none of these, or the credentials cannot be sent.
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Move credentials out of the URL, and check both."""
        url, user, password = _split(self.url)
        object.__setattr__(self, "url", url)
        if self.user is None and self.password is None:
            object.__setattr__(self, "user", user)
            object.__setattr__(self, "password", password)
        self._check_credentials()

    @property
    def has_credentials(self) -> bool:
        """Whether user and password are known."""
        return self.password is not None

    def without_password(self, text: str) -> str:
        """Return text, as a program printed it, without the password and those of its URLs."""
        if self.password:
            for form in {self.password, quote(self.password), quote(self.password, safe="")}:
                text = text.replace(form, "***")
        return redacted(text)

    @contextmanager
    def credentials(self) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
        """Give one git command the credentials.

        Yields:
            Settings ("name=value") for the command, and the descriptors that it must inherit.
        """
        if not self.has_credentials:
            yield (), ()
            return
        reader, writer = os.pipe()
        try:
            try:
                os.write(writer, f"username={self.user}\npassword={self.password}\n".encode())
            finally:
                os.close(writer)
            scheme, host, *_ = urlsplit(self.url)
            get = f'!f() {{ test "$1" != get || cat /dev/fd/{reader}; }}; f'
            yield ("credential.helper=", f"credential.{scheme}://{host}.helper={get}"), (reader,)
        finally:
            os.close(reader)

    def _check_credentials(self) -> None:
        if self.user is None and self.password is None:
            return
        where = f"credentials for the git repository {self.url}"
        if not self.url.startswith(("http://", "https://")):
            if self.password is None:
                return
            raise ConfigError(f"{where}: only http and https URLs take a password")
        if not self.user or self.password is None:
            raise ConfigError(f"{where}: give both user and password")
        if any(character in self.user + self.password for character in "\r\n\0"):
            raise ConfigError(f"{where}: they hold a line break or NUL, which git cannot send")
        if len((self.user + self.password).encode()) > _MAX_CREDENTIAL_BYTES:
            raise ConfigError(f"{where}: they are longer than {_MAX_CREDENTIAL_BYTES} bytes")


def _split(text: str) -> tuple[str, str | None, str | None]:
    """Return a URL without credentials, and these.

    Raises:
        ConfigError: git would not take it as the place of a repository, or would run a program.
    """
    if "://" in text:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme in _SCHEMES and text.isprintable() and " " not in text:
            if parts.scheme in ("ssh", "file") or not parts.hostname:
                if parts.hostname or (parts.scheme == "file" and parts.path):
                    return text, None, None
                raise _not_a_repository(text)
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            host += "" if port is None else f":{port}"
            user, password = parts.username, parts.password
            return (
                urlunsplit((parts.scheme, host, parts.path, parts.query, "")),
                None if user is None else unquote(user),
                None if password is None else unquote(password),
            )
    elif text and not text.startswith("-") and "\0" not in text and "::" not in text:
        if _SCP_FORM.fullmatch(text) and not Path(text).exists():
            return text, None, None
        return str(Path(text).absolute()), None, None
    raise _not_a_repository(text)


def _not_a_repository(text: str) -> ConfigError:
    return ConfigError(
        f"git repository {redacted(text)!r}: expected an http, https, ssh or file URL, "
        "user@host:path, or the path of a repository"
    )
