"""Running git: without prompts, hooks or the caller's GIT_* variables, and within a time limit.

aisio runs the program `git`, 2.29 or newer. It needs smart HTTP with push, worktrees, .gitignore,
attributes, filters and the users' own configuration of proxies, certificates and credentials: no
Python library has all of them, and whoever has code in git has the program.

What never runs: hooks (core.hooksPath), a file-system monitor (core.fsmonitor is a program, too),
background maintenance, signing. What does run: the clean and smudge filters that the user has
configured, as only they tell what a file's content is in the repository.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aisio.config import inherited_environment
from aisio.errors import AccessError, AisioError, ConfigError, NotFoundError, UnavailableError
from aisio.limits import is_positive
from aisio.tasks.code.errors import GitError, GitTimeoutError
from aisio.tasks.code.remote import GitRemote

DEFAULT_TIMEOUT_S = 600.0
"""How long all git commands of one call may take together, in seconds."""

_TERMINATION_S = 1.0
_MAX_SHOWN = 2000
# Who commits, and how servers are reached: all else that begins with GIT_ is about another
# repository, or makes git print more than we can redact.
_KEPT_VARIABLES = frozenset(
    {
        *(f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")),
        *(f"GIT_SSL_{name}" for name in ("CAINFO", "CAPATH", "CERT", "KEY", "NO_VERIFY")),
        *(f"GIT_CONFIG_{name}" for name in ("GLOBAL", "SYSTEM", "NOSYSTEM")),
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_EXEC_PATH",
        "GIT_CEILING_DIRECTORIES",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    }
)
_VARIABLES = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",  # neither core.askPass nor SSH_ASKPASS opens a window
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "GIT_OPTIONAL_LOCKS": "0",  # `git status` does not write the index
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "LC_ALL": "C",  # messages in English: `_error_class` reads them
}
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.addEmbeddedRepo=false",
    "i18n.commitEncoding=UTF-8",
    "user.useConfigOnly=true",  # no name made up from the machine's
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "push.followTags=false",
    "push.gpgSign=false",
    "submodule.recurse=false",
    # A connection that moves less than 1 kB/s for a minute is given up.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)
_ERRORS: tuple[tuple[re.Pattern[str], Callable[[str], AisioError]], ...] = (
    (
        re.compile(
            r"Authentication failed|could not read (?:Username|Password)|Permission denied \("
            r"|terminal prompts disabled|error: (?:401|403)|HTTP 40[13]\b"
        ),
        AccessError,
    ),
    (
        re.compile(
            r"repository '.*' (?:not found|does not exist)|error: 404"
            r"|does not appear to be a git repository"
        ),
        NotFoundError,
    ),
    (
        re.compile(
            r"Could not resolve host|Failed to connect|Connection (?:refused|reset|timed out)"
            r"|Couldn't connect|Recv failure|Empty reply from server|error: 5\d\d|HTTP 5\d\d\b"
            r"|RPC failed|remote end hung up|early EOF|Operation too slow|SSL|unexpected disconnect"
        ),
        UnavailableError,
    ),
)


def git_available() -> bool:
    """Tell whether the program `git` is on PATH."""
    return shutil.which("git") is not None


def check_timeout(timeout_s: float) -> None:
    """Raise a ConfigError unless a time limit is a positive number of seconds."""
    if not is_positive(timeout_s):
        raise ConfigError(f"timeout_s={timeout_s!r}: expected a positive number of seconds")


@dataclass(frozen=True)
class Git:
    """Runs git commands in one folder, all of them before a deadline.

    Attributes:
        folder: Where they run.
        deadline: Time of the monotonic clock when commands are killed.
        variables: Environment variables for all of them.
    """

    folder: Path
    deadline: float
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def within(cls, folder: Path, timeout_s: float, **variables: str) -> Git:
        """Return one whose commands may take `timeout_s` seconds together."""
        return cls(folder, time.monotonic() + timeout_s, variables)

    def having(self, **variables: str) -> Git:
        """Return one with more environment variables."""
        return Git(self.folder, self.deadline, self.variables | variables)

    def run(
        self,
        *arguments: str,
        remote: GitRemote | None = None,
        input_text: str | None = None,
        ok: Iterable[int] = (0,),
    ) -> str:
        """Run a command; return what it wrote to stdout.

        Args:
            arguments: After "git".
            remote: Whose credentials it may use.
            input_text: What it reads from stdin.
            ok: Exit codes that are no error.

        Raises:
            AccessError: The remote refuses the credentials, or wants some.
            NotFoundError: The remote has no such repository.
            UnavailableError: The remote cannot be reached, or the connection broke.
            GitTimeoutError: It was still running at the deadline; it and its children were killed.
            GitError: It failed in another way.
        """
        status, output, message = self.attempt(*arguments, remote=remote, input_text=input_text)
        if status not in ok:
            raise error_of(arguments, status, message or output, remote)
        return output

    def commit_of(self, revision: str) -> str | None:
        """Return the id of the commit that a revision names here, or None if there is none."""
        options = ("--quiet", "--verify", "--end-of-options")
        return self.run("rev-parse", *options, f"{revision}^{{commit}}", ok=(0, 1)).strip() or None

    def attempt(
        self, *arguments: str, remote: GitRemote | None = None, input_text: str | None = None
    ) -> tuple[int, str, str]:
        """Run a command; return its exit code, and what it wrote to stdout and stderr.

        Raises:
            GitTimeoutError: As `run`.
            ConfigError: git is not installed.
        """
        with ExitStack() as stack:
            settings: tuple[str, ...] = _SETTINGS
            descriptors: tuple[int, ...] = ()
            if remote is not None:
                more, descriptors = stack.enter_context(remote.credentials())
                settings += more
            process = self._start([*_options(settings), *arguments], descriptors)
            stack.callback(_end, process)
            given = None if input_text is None else input_text.encode("utf-8", "surrogateescape")
            try:
                left = max(0.0, self.deadline - time.monotonic())
                output, message = process.communicate(given, timeout=left)
            except subprocess.TimeoutExpired:
                raise GitTimeoutError(
                    f"{_shown(arguments)} in {self.folder} did not end within the time limit"
                ) from None
        return process.returncode, _text(output), _text(message)

    def _start(self, arguments: list[str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
        environment = inherited_environment(without=("GIT_",), keep=_KEPT_VARIABLES)
        try:
            return subprocess.Popen(
                ["git", *arguments],
                cwd=self.folder,
                env=environment | _VARIABLES | self.variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=descriptors,
                # Without a terminal, ssh cannot ask for a password. And all children of git are in
                # one process group, which _end kills.
                start_new_session=True,
            )
        except FileNotFoundError:
            if not self.folder.is_dir():
                raise
            raise ConfigError(
                "git is not installed: install it, or send the code as an archive"
            ) from None


def error_of(
    arguments: tuple[str, ...], status: int, message: str, remote: GitRemote | None
) -> AisioError:
    """Return the error for a command that failed, without any credentials in its text."""
    message = message.strip()
    if len(message) > _MAX_SHOWN:
        message = f"...{message[-_MAX_SHOWN:]}"
    if remote is None:
        return GitError(f"{_shown(arguments)} failed with exit code {status}: {message}")
    text = f"{_shown(arguments)} for {remote.url} failed: {remote.without_password(message)}"
    return next((error for pattern, error in _ERRORS if pattern.search(message)), GitError)(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command that was given up, with its children: first so that it removes its locks."""
    if process.poll() is None:
        for number, wait_s in ((signal.SIGTERM, _TERMINATION_S), (signal.SIGKILL, None)):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(wait_s)
                break
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _options(settings: tuple[str, ...]) -> list[str]:
    return [word for setting in settings for word in ("-c", setting)]


def _shown(arguments: tuple[str, ...]) -> str:
    return f"git {arguments[0]}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
