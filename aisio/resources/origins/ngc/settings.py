"""Who asks NVIDIA's registry and where it is: key, organisation, team and addresses.

The environment comes first, then section [CURRENT] of ~/.ngc/config, which `ngc config set` writes;
its other sections are settings put aside, which nothing reads. "no-apikey", "no-org" and "no-team"
say that there is none, whatever the file says.

Source:
    ngcsdk 4.37.0, which reads the same names and file.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from aisio.config import first_set
from aisio.errors import ConfigError
from aisio.resources.origins.ngc.target import NgcTarget

log = logging.getLogger(__name__)

KEY_VARIABLES = ("NGC_CLI_API_KEY", "NGC_API_KEY", "NGC_APP_KEY")
"""Where a key is looked for, in this order."""

_BASE_URL = re.compile(
    r"(?:https?://)?((?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:/[\w.~-]+)*/?)",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True)
class NgcSettings:
    """How to ask the registry.

    Attributes:
        base_url: Of the registry, https, without a trailing slash.
        auth_url: Of the service that gives tokens for keys of the old kind; likewise.
        key: Key of the user; None for a guest. Never shown by `repr`.
        key_from: Where the key was found, for errors.
        org: Organisation of targets that name none.
        team: Team of targets that name no organisation.
        guest_token: What a guest is known by: any UUID, no secret.
    """

    base_url: str = "https://api.ngc.nvidia.com"
    auth_url: str = "https://authn.nvidia.com"
    key: str | None = field(default=None, repr=False)
    key_from: str = ""
    org: str | None = None
    team: str | None = None
    guest_token: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def host(self) -> str:
        """Return the registry's host, for messages."""
        return urlsplit(self.base_url).netloc

    def complete(self, target: NgcTarget) -> NgcTarget:
        """Return the target with organisation and team, from here where it names none.

        Raises:
            ConfigError: None is known.
        """
        if target.org:
            return target
        if not self.org:
            raise ConfigError(
                f"ngc target {str(target)!r} names no organisation: write org/{target} or "
                f"org/team/{target}, or set NGC_CLI_ORG"
            )
        return replace(target, org=self.org, team=self.team)


def load_ngc_settings(environ: Mapping[str, str] | None = None) -> NgcSettings:
    """Read environment and configuration file, now.

    Args:
        environ: Read instead of the environment.

    Raises:
        ConfigError: A value that cannot be meant; the text names where it is from and shows no key.
    """
    stored, file = _stored(environ)
    key_from = next((name for name in KEY_VARIABLES if first_set(name, environ=environ)), None)
    key = first_set(*KEY_VARIABLES, environ=environ) or stored.get("apikey")
    default = NgcSettings()
    return NgcSettings(
        base_url=_https(first_set("NGC_CLI_API_URL", environ=environ) or default.base_url),
        auth_url=_https(first_set("NGC_CLI_AUTH_URL", environ=environ) or default.auth_url),
        key=_sendable(key, key_from or str(file)),
        key_from=key_from or str(file),
        org=_unless_none(first_set("NGC_CLI_ORG", environ=environ) or stored.get("org"), "no-org"),
        team=_unless_none(
            first_set("NGC_CLI_TEAM", environ=environ) or stored.get("team"), "no-team"
        ),
        guest_token=first_set("NGC_CLI_GUEST_TOKEN", environ=environ) or default.guest_token,
    )


def _stored(environ: Mapping[str, str] | None) -> tuple[Mapping[str, str], Path]:
    """Return what the file says, and where it is; nothing where it is not there."""
    file = Path(first_set("NGC_CLI_HOME", environ=environ) or "~") / ".ngc" / "config"
    # A key may hold a "%".
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        file = file.expanduser()
        parser.read_string(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}, file
    except (OSError, RuntimeError) as error:
        log.warning("%s is not read: %s", file, error)
        return {}, file
    except (ConfigParserError, UnicodeDecodeError) as error:
        # Without the cause, whose text holds lines of the file.
        raise ConfigError(
            f"{file} is no configuration file of NVIDIA's registry ({type(error).__name__}): "
            "write it anew with `ngc config set`, or remove it"
        ) from None
    # Files of old have the key under [DEFAULT].
    return parser["CURRENT"] if parser.has_section("CURRENT") else parser.defaults(), file


def _unless_none(value: str | None, none: str) -> str | None:
    return None if value == none else value or None


def _sendable(key: str | None, where: str) -> str | None:
    """Check what an HTTP library would otherwise complain of, showing the header."""
    key = _unless_none((key or "").strip(), "no-apikey")
    if key and (" " in key or not (key.isascii() and key.isprintable())):
        raise ConfigError(f"{where} holds no key: there are blanks or non-ASCII characters in it")
    return key


def _https(url: str) -> str:
    """Return a base URL with https in any case, as the official client has it."""
    match = _BASE_URL.fullmatch(url)
    if not match:
        # The text is not shown: it may hold a password.
        raise ConfigError(
            "NGC_CLI_API_URL or NGC_CLI_AUTH_URL is no base URL, as in https://api.ngc.nvidia.com"
        )
    return f"https://{match[1].rstrip('/')}"
