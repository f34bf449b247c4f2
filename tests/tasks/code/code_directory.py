"""A user's code directory, with git run in it as its user would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

IDENTITY: Mapping[str, str] = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; return what it wrote, without line breaks around it."""
    environment = {"PATH": os.environ["PATH"], **IDENTITY}
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class CodeDirectory:
    """A directory with code."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> CodeDirectory:
        """Make a directory with some code, which is no repository."""
        folder.mkdir(parents=True)
        code = cls(folder)
        code.write("train.py", "print('trains')\n")
        code.write("requirements.txt", "aisio\n")
        return code

    @classmethod
    def committed(cls, folder: Path) -> CodeDirectory:
        """Make a directory that is a repository with one commit, on branch main."""
        code = cls.make(folder)
        code.git("init", "--quiet", "--initial-branch=main")
        code.commit("first")
        return code

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def git(self, *arguments: str) -> str:
        """Run git in the directory."""
        return git(self.folder, *arguments)

    def commit(self, message: str) -> str:
        """Commit everything; return the commit id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.head()

    def head(self) -> str:
        """Return the commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def state(self) -> tuple[bytes | None, str, str]:
        """Return what must not change: the bytes of the index, HEAD, and all refs but ours."""
        index = self.folder / ".git" / "index"
        head = (self.folder / ".git" / "HEAD").read_text("utf-8")
        refs = self.git("for-each-ref", "refs/heads", "refs/tags")
        return (index.read_bytes() if index.exists() else None), head, refs

    def files_with(self, text: str) -> list[Path]:
        """Return the files, those of git included, that hold a text."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [path for path in files if text.encode() in path.read_bytes()]
