"""LockedFolder: alone, shared, and removed by the last."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest

from aisio.models.locked_folder import LockedFolder
from tests.models.forked import is_open_in_a_child


def test_the_first_has_it_alone_and_shares_it(tmp_path: Path) -> None:
    """Then others have it too, and nobody has it alone."""
    first = LockedFolder(tmp_path / "a")
    assert (first.is_alone, first.is_new) == (True, True)
    first.share()
    second = LockedFolder(tmp_path / "a")
    assert (second.is_alone, second.is_new) == (False, False)
    assert not first.try_alone()
    first.close()
    assert second.try_alone()
    second.close()


def test_the_next_waits_until_it_is_shared(tmp_path: Path) -> None:
    """And finds the folder that is there then, if the one it waited for was removed."""
    first = LockedFolder(tmp_path / "a")
    opened: list[LockedFolder] = []
    thread = threading.Thread(target=lambda: opened.append(LockedFolder(tmp_path / "a")))
    thread.start()
    (tmp_path / "a").rmdir()
    first.close()
    thread.join()
    assert os.path.samestat((tmp_path / "a").stat(), os.fstat(opened[0].descriptor))
    opened[0].close()


def test_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    """No descriptor stays open."""
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(OSError, match=name):
            LockedFolder(tmp_path / name)


def test_programs_do_not_inherit_the_lock(tmp_path: Path) -> None:
    """Unless they are given the descriptor."""
    folder = LockedFolder(tmp_path / "a")
    assert fcntl.fcntl(folder.descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    folder.close()


def test_a_program_that_is_lent_the_folder_has_it_too(tmp_path: Path) -> None:
    """Whoever lends it has it alone again when the program has ended."""
    folder = LockedFolder(tmp_path / "a")
    folder.share()
    lent = folder.lend()
    assert lent == folder.lend()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lent]):
        assert not folder.try_alone()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(lent)
    assert folder.try_alone()
    folder.close()


def test_a_forked_child_does_not_keep_what_its_parent_has_lent(tmp_path: Path) -> None:
    """As a worker of a DataLoader, which may end later than its parent."""
    folder = LockedFolder(tmp_path / "a")
    folder.share()
    lent = folder.lend()
    assert not is_open_in_a_child(lent)
    os.fstat(lent)
    folder.close()
