"""Running git: what it inherits, when it ends, and what its errors become."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from aisio.errors import AccessError, ConfigError, NotFoundError, UnavailableError
from aisio.tasks.code.errors import GitError, GitTimeoutError
from aisio.tasks.code.git import Git, check_timeout, error_of, git_available
from aisio.tasks.code.remote import GitRemote
from tests.tasks.code.code_directory import CodeDirectory
from tests.tasks.code.git_server import GitServer, needs_git, serve

pytestmark = needs_git


@pytest.fixture
def fake_git(tmp_path, monkeypatch) -> Path:
    """Return the path of a program that runs as git; the test writes it."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that ended may still wait for its parent."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", f"{pid}"], capture_output=True, text=True)
    return not state.stdout.startswith("Z") and state.stdout != ""


def test_the_callers_git_variables_are_not_inherited(tmp_path, fake_git, monkeypatch) -> None:
    """Except who commits, and how servers are reached."""
    fake_git.write_text("#!/bin/sh\nenv\n", "utf-8")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_TRACE_CURL", "GIT_CONFIG_COUNT"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada")
    monkeypatch.setenv("GIT_ASKPASS", "/usr/bin/window")
    lines = Git.within(tmp_path, 60, GIT_WORK_TREE="ours").run("env").splitlines()
    seen = dict(line.partition("=")[::2] for line in lines)
    assert "theirs" not in seen.values()
    assert seen["GIT_AUTHOR_NAME"] == "Ada"
    assert (seen["GIT_TERMINAL_PROMPT"], seen["GIT_ASKPASS"]) == ("0", "")
    assert seen["GIT_WORK_TREE"] == "ours"


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path, fake_git) -> None:
    """Although they ignore the signal that asks them to end."""
    pids = tmp_path / "pids"
    fake_git.write_text(
        "#!/bin/sh\ntrap '' TERM\nsleep 600 &\n"
        f"echo $$ $! > {pids}.new && mv {pids}.new {pids}\nwait\n",
        "utf-8",
    )
    git = Git.within(tmp_path, 0.5)
    with pytest.raises(GitTimeoutError, match="git fetch"):
        git.run("fetch")
    for pid in pids.read_text("utf-8").split():
        assert not runs(int(pid))


def test_a_server_that_does_not_answer_is_given_up(tmp_path) -> None:
    """At the deadline of all commands together."""
    code = CodeDirectory.committed(tmp_path / "code")
    with serve(GitServer(tmp_path, answers=[-1] * 9)) as server:
        remote = GitRemote(server.url("a.git"), "ada", "secret")
        git = Git.within(code.folder, 2)
        with pytest.raises(GitTimeoutError):
            git.run("ls-remote", remote.url, remote=remote)
        assert server.waiting.is_set()
        with pytest.raises(GitTimeoutError):
            git.run("ls-remote", remote.url, remote=remote)


def test_no_hook_and_no_monitor_runs(tmp_path) -> None:
    """Hooks may be anybody's, and core.fsmonitor is a program."""
    code = CodeDirectory.committed(tmp_path / "code")
    trace = tmp_path / "ran"
    for name in ("pre-push", "post-index-change", "reference-transaction"):
        hook = code.folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {trace}\n", "utf-8")
        hook.chmod(0o755)
    code.git("config", "core.fsmonitor", f"touch {trace};")
    git = Git.within(code.folder, 60)
    git.run("status")
    git.run("update-ref", "refs/heads/new", "HEAD")
    git.run("reset", "--quiet")
    assert not trace.exists()


def test_without_git_the_error_says_what_to_do(tmp_path, monkeypatch) -> None:
    """The code can be sent as an archive."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not git_available()
    with pytest.raises(ConfigError, match="git is not installed"):
        Git.within(tmp_path, 60).run("status")


def test_threads_do_not_get_one_anothers_credentials(tmp_path, fake_git) -> None:
    """Each command inherits the descriptor of its own pipe, and no other."""
    fake_git.write_text("#!/bin/sh\nls /dev/fd | wc -l\n", "utf-8")
    remote = GitRemote("https://h/a", "ada", "secret")
    counts: list[str] = []

    def run() -> None:
        counts.append(Git.within(tmp_path, 60).run("fetch", remote=remote))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 4
    assert len(set(counts)) == 1


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("fatal: Authentication failed for 'http://h/a.git/'", AccessError),
        ("fatal: could not read Username for 'http://h': terminal prompts disabled", AccessError),
        ("git@h: Permission denied (publickey).", AccessError),
        ("error: RPC failed; HTTP 403 curl 22", AccessError),
        ("fatal: repository 'http://h/a.git/' not found", NotFoundError),
        ("fatal: unable to access 'http://h/': Could not resolve host: h", UnavailableError),
        ("fatal: unable to access: The requested URL returned error: 503", UnavailableError),
        ("fatal: the remote end hung up unexpectedly", UnavailableError),
        ("fatal: something else", GitError),
    ],
)
def test_errors_of_a_remote_say_what_kind_they_are(message, expected) -> None:
    """Network errors are never mistaken for a missing repository."""
    error = error_of(("fetch",), 128, message, GitRemote("http://h/a.git"))
    assert type(error) is expected
    assert message in str(error)


def test_a_long_message_is_cut() -> None:
    """Its end is shown, where git says what was wrong."""
    text = str(error_of(("add",), 1, "x" * 5000 + " fatal: this", None))
    assert text.endswith("x fatal: this")
    assert len(text) < 2100


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), "60", None])
def test_a_time_limit_is_a_positive_number(timeout_s) -> None:
    """Of seconds."""
    with pytest.raises(ConfigError, match="timeout_s"):
        check_timeout(timeout_s)
