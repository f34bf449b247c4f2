"""Settings for NVIDIA's registry: key, organisation, team and addresses.

The environment comes first, then section [CURRENT] of ~/.ngc/config, which `ngc config set` writes;
nothing reads its other sections. The values "no-apikey", "no-org" and "no-team" in the environment
mean that there is none, whatever the file says.

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

_log = logging.getLogger(__name__)

KEY_VARIABLES = ("NGC_CLI_API_KEY", "NGC_API_KEY", "NGC_APP_KEY")
"""The variables that may have the key, the first one first."""

_BASE_URL = re.compile(
    r"(?:https?://)?((?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:/[\w.~-]+)*/?)",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True)
class NgcSettings:
    """Where the registry is, and who sends the requests.

    Attributes:
        base_url: URL of the registry: https, without a trailing slash.
        auth_url: URL of the service that gives tokens for keys of the old kind; in the same form.
        key: Key of the user; None for a guest. `repr` does not show it.
        key_from: The variable or file that has the key, for errors.
        org: Organisation of targets that name none.
        team: Team of targets that name no organisation.
        guest_token: Identifies a guest: any UUID, no secret.
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
        """Return the target with organisation and team: those of the settings if it names none.

        Raises:
            ConfigError: Neither names an organisation.
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
    """Read the environment and the configuration file, at each call.

    Args:
        environ: Variables to read instead of the environment.

    Raises:
        ConfigError: A value is wrong; the text says where it is from, and does not show a key.
    """
    stored, file = _read_config_file(environ)
    key_from = next((name for name in KEY_VARIABLES if first_set(name, environ=environ)), None)
    key = first_set(*KEY_VARIABLES, environ=environ) or stored.get("apikey")
    default = NgcSettings()
    return NgcSettings(
        base_url=_https_url(first_set("NGC_CLI_API_URL", environ=environ) or default.base_url),
        auth_url=_https_url(first_set("NGC_CLI_AUTH_URL", environ=environ) or default.auth_url),
        key=_checked_key(key, key_from or str(file)),
        key_from=key_from or str(file),
        org=_none_if(first_set("NGC_CLI_ORG", environ=environ) or stored.get("org"), "no-org"),
        team=_none_if(first_set("NGC_CLI_TEAM", environ=environ) or stored.get("team"), "no-team"),
        guest_token=first_set("NGC_CLI_GUEST_TOKEN", environ=environ) or default.guest_token,
    )


def _read_config_file(environ: Mapping[str, str] | None) -> tuple[Mapping[str, str], Path]:
    """Return the values of the configuration file, none if it does not exist, and its path."""
    file = Path(first_set("NGC_CLI_HOME", environ=environ) or "~") / ".ngc" / "config"
    # No interpolation: a key may contain a "%".
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        file = file.expanduser()
        parser.read_string(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}, file
    except (OSError, RuntimeError) as error:
        _log.warning("%s is not read: %s", file, error)
        return {}, file
    except (ConfigParserError, UnicodeDecodeError) as error:
        # Without the cause: its text has lines of the file.
        raise ConfigError(
            f"{file} is no configuration file of NVIDIA's registry ({type(error).__name__}): "
            "write it anew with `ngc config set`, or remove it"
        ) from None
    # Old files have the key under [DEFAULT].
    return parser["CURRENT"] if parser.has_section("CURRENT") else parser.defaults(), file


def _none_if(value: str | None, none_text: str) -> str | None:
    return None if value == none_text else value or None


def _checked_key(key: str | None, where: str) -> str | None:
    """Check a key for characters that an HTTP library refuses with an error that shows the key."""
    key = _none_if((key or "").strip(), "no-apikey")
    if key and (" " in key or not (key.isascii() and key.isprintable())):
        raise ConfigError(f"{where} holds no key: there are blanks or non-ASCII characters in it")
    return key


def _https_url(url: str) -> str:
    """Return a base URL with https, whatever its scheme is, as the official client does."""
    match = _BASE_URL.fullmatch(url)
    if not match:
        # Without the URL: it may have a password.
        raise ConfigError(
            "NGC_CLI_API_URL or NGC_CLI_AUTH_URL is no base URL, as in https://api.ngc.nvidia.com"
        )
    return f"https://{match[1].rstrip('/')}"
