"""The user's repository: what is no place to sync, and what a commit of it holds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aisio.errors import ConfigError, ConflictError
from aisio.tasks.code.errors import GitError
from aisio.tasks.code.git import Git
from aisio.tasks.code.work_tree import WorkTree
from tests.tasks.code.code_directory import IDENTITY, CodeDirectory, git
from tests.tasks.code.git_server import needs_git

pytestmark = needs_git


@pytest.fixture(autouse=True)
def _identity(monkeypatch) -> None:
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def code(tmp_path) -> CodeDirectory:
    """Return a committed code directory."""
    return CodeDirectory.committed(tmp_path / "code")


def tree_of(code: CodeDirectory) -> WorkTree:
    """Return the work tree of a code directory."""
    tree = WorkTree.find(Git.within(code.folder, 60))
    assert tree is not None
    return tree


def test_a_folder_outside_any_repository_has_none(tmp_path) -> None:
    """It can become one, also twice."""
    run = Git.within(tmp_path, 60)
    assert WorkTree.find(run) is None
    WorkTree.create(run)
    assert WorkTree.create(run).head() is None


def test_a_part_of_another_repository_is_refused(code) -> None:
    """A folder in it that it does not track may become a repository."""
    code.write("net/model.py", "")
    code.commit("net")
    with pytest.raises(ConfigError, match="is a part of the git repository at"):
        WorkTree.find(Git.within(code.folder / "net", 60))
    (code.folder / "untracked").mkdir()
    assert WorkTree.find(Git.within(code.folder / "untracked", 60)) is None


def test_a_bare_repository_is_refused(tmp_path) -> None:
    """It has no files."""
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    with pytest.raises(ConfigError, match="without a work tree"):
        WorkTree.find(Git.within(tmp_path / "bare.git", 60))


def test_a_repository_that_git_refuses_is_an_error(code) -> None:
    """Such as one of a format that git does not know: it is not taken for a missing one."""
    code.git("config", "core.repositoryFormatVersion", "99")
    with pytest.raises(GitError, match="version"):
        WorkTree.find(Git.within(code.folder, 60))


def test_a_linked_git_folder_and_a_worktree_are_repositories(code, tmp_path) -> None:
    """Each has its own index and HEAD."""
    (code.folder / ".git").rename(tmp_path / "elsewhere")
    (code.folder / ".git").symlink_to(tmp_path / "elsewhere")
    code.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    side = CodeDirectory(tmp_path / "side")
    side.write("new.py", "")
    for one, branch in ((code, "main"), (side, "side")):
        tree = tree_of(one)
        head = tree.head()
        commit = tree.commit_all("both")
        tree.advance(commit, previous=head)
        assert (tree.branch(), one.head()) == (branch, commit)
        assert one.git("status", "--porcelain") == ""


def test_a_link_to_the_directory_is_the_directory(code, tmp_path) -> None:
    """As the root that git reports has links resolved."""
    (tmp_path / "link").symlink_to(code.folder)
    assert tree_of(CodeDirectory(tmp_path / "link")).head() == code.head()


def test_a_commit_moves_nothing_until_it_advances(code) -> None:
    """Neither the branch nor the index."""
    tree = tree_of(code)
    code.write("new.py", "")
    before = code.state()
    commit = tree.commit_all("new")
    assert code.state() == before
    assert code.git("ls-tree", "--name-only", commit).splitlines()[0] == "new.py"


def test_a_branch_that_moved_meanwhile_is_not_overwritten(code) -> None:
    """Somebody's commit stays."""
    tree = tree_of(code)
    first = tree.head()
    code.write("new.py", "")
    ours = tree.commit_all("ours")
    theirs = code.commit("theirs")
    with pytest.raises(GitError):
        tree.advance(ours, previous=first)
    assert code.head() == theirs


def test_a_merge_that_is_not_finished_is_refused(code) -> None:
    """Conflict markers would be committed."""
    code.git("checkout", "--quiet", "-b", "side")
    code.write("train.py", "side\n")
    code.commit("side")
    code.git("checkout", "--quiet", "main")
    code.write("train.py", "main\n")
    code.commit("main")
    subprocess.run(
        ["git", "merge", "--quiet", "side"], cwd=code.folder, capture_output=True, check=False
    )
    with pytest.raises(ConfigError, match="merge"):
        tree_of(code).commit_all("both")


def test_a_directory_whose_files_are_all_ignored_is_refused(tmp_path) -> None:
    """There would be nothing to run."""
    code = CodeDirectory.make(tmp_path / "code")
    code.write(".gitignore", "*\n")
    with pytest.raises(ConfigError, match="ignores all"):
        WorkTree.create(Git.within(code.folder, 60)).commit_all("nothing")


def test_a_repository_inside_is_refused(code) -> None:
    """A push would leave out its files, whether it is a submodule or not."""
    CodeDirectory.committed(code.folder / "vendored")
    with pytest.raises(ConfigError, match="vendored"):
        tree_of(code).commit_all("with it")
    code.commit("with it")
    with pytest.raises(ConfigError, match="vendored"):
        tree_of(code).check_files()


def test_files_in_lfs_are_refused(code) -> None:
    """A push sends pointers; a file that is stored as it is may have the attribute."""
    code.write(".gitattributes", "*.bin filter=lfs\n")
    code.write("small.bin", "content\n")
    code.commit("content")
    tree_of(code).check_files()
    code.write("weights.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    code.commit("pointer")
    with pytest.raises(ConfigError, match=r"Git LFS: weights\.bin"):
        tree_of(code).check_files()


def test_who_is_unknown_to_git_commits_as_aisio(code, monkeypatch) -> None:
    """As in a container; git would refuse."""
    for name in IDENTITY:
        if name.endswith(("NAME", "EMAIL")):
            monkeypatch.delenv(name)
    code.write("new.py", "")
    commit = tree_of(code).commit_all("new")
    shown = code.git("show", "--no-patch", "--format=%an %ae %cn", commit)
    assert shown == "aisio aisio@localhost aisio"


def test_names_in_any_encoding_are_committed(code) -> None:
    """Blanks, line breaks, and bytes that are not UTF-8."""
    name = os.fsdecode(b"a \n\xe9.py")
    (code.folder / name).write_text("", "utf-8")
    tree = tree_of(code)
    assert tree.changes() == [name]
    listed = tree.git.run("ls-tree", "-z", "--name-only", tree.commit_all("new"))
    assert name in listed.split("\0")


def test_a_change_in_the_moment_of_a_commit_is_seen(code) -> None:
    """Same size, same time: git looks into files that are as new as their index."""
    file, index = code.folder / "train.py", code.folder / ".git" / "index"
    code.git("config", "core.trustctime", "false")
    os.utime(file, (1e9, 1e9))
    code.git("update-index", "--refresh")
    file.write_text(file.read_text().upper())
    for path in (file, index):
        os.utime(path, (1e9, 1e9))
    tree = tree_of(code)
    assert tree.changes() == ["train.py"]
    assert code.git("show", f"{tree.commit_all('new')}:train.py") == "PRINT('TRAINS')"


def test_the_remote_is_written_when_it_differs(code) -> None:
    """A second sync does not touch the file."""
    tree = tree_of(code)
    tree.set_remote("aisio", "https://h/a")
    before = (code.folder / ".git" / "config").stat().st_mtime_ns
    tree.set_remote("aisio", "https://h/a")
    assert (code.folder / ".git" / "config").stat().st_mtime_ns == before
    tree.set_remote("aisio", "https://h/b")
    assert code.git("remote", "get-url", "aisio") == "https://h/b"


def test_syncs_of_one_directory_wait_for_each_other(code) -> None:
    """Until the deadline; the lock of a process that was killed is free."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(code.folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        tree = WorkTree(Git.within(code.folder, 60))
        short = WorkTree(Git.within(code.folder, 0.5))
        with pytest.raises(ConflictError, match="another process"), short.locked():
            pass
        holder.kill()
        with tree.locked():
            pass
    finally:
        holder.kill()
        holder.communicate()


_HOLD = """
import sys
from pathlib import Path
from aisio.tasks.code.git import Git
from aisio.tasks.code.work_tree import WorkTree
with WorkTree(Git.within(Path(sys.argv[1]), 60)).locked():
    print("locked", flush=True)
    sys.stdin.read() or __import__("signal").pause()
"""
