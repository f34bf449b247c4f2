"""Which checkpoints there are, and which are kept."""

from __future__ import annotations

import os
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch  # noqa: F401 - the package needs it

from aisio.checkpoint import checkpoints, latest, remove_old, remove_unfinished
from aisio.errors import ConfigError, IntegrityError, NotFoundError
from aisio.gateway import Gateway
from tests.checkpoint.dcp.states import check, write


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a run with four checkpoints, and one that is being written."""
    for number in (1000, 2, 900, 30):
        write(tmp_path / f"step-{number}", number)
    write(tmp_path / "step-5000", 1)
    (tmp_path / "step-5000" / ".metadata").unlink()
    return f"file://{tmp_path}"


def files(folder: Path) -> list[str]:
    """Return the files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_numbers_in_names_count_as_numbers(url: str) -> None:
    """What is unfinished does not count, and a final slash is the same."""
    steps = [f"{url}/step-{number}" for number in (2, 30, 900, 1000)]
    assert checkpoints(url) == checkpoints(f"{url}/") == steps
    assert latest(url) == steps[-1]
    assert checkpoints(steps[0]) == [steps[0]]
    assert latest(f"{url}/step-5000") is None


def test_a_run_that_has_not_begun_has_none(url: str) -> None:
    """A local folder that is not there yet is as a prefix of a bucket."""
    run = f"{url}/missing/"
    assert (checkpoints(run), latest(run), remove_old(run, keep=1)) == ([], None, [])
    assert remove_unfinished(run) == 0


def test_a_missing_bucket_is_an_error(tmp_path: Path) -> None:
    """Its name may be misspelt."""
    with Gateway(tmp_path) as gateway, pytest.raises(NotFoundError, match="bucket"):
        latest("ais://missing/run/", endpoint=gateway.endpoint)


def test_the_newest_are_kept(url: str, tmp_path: Path) -> None:
    """Nothing else goes: what another job writes, or a user has put there, stays."""
    (tmp_path / "step-2" / "notes").write_text("a")
    before = files(tmp_path)
    assert remove_old(url, keep=4) == remove_old(url, keep=9) == []
    assert files(tmp_path) == before
    assert remove_old(url, keep=2) == [f"{url}/step-2", f"{url}/step-30"]
    gone = {name for name in before if name.startswith(("step-2/", "step-30/"))} - {"step-2/notes"}
    assert files(tmp_path) == [name for name in before if name not in gone]
    for number in (900, 1000):
        check(tmp_path / f"step-{number}", number)
    assert remove_old(url, keep=1) == [f"{url}/step-900"]


def test_at_least_one_is_kept(url: str) -> None:
    """Whatever is asked."""
    for wrong in (0, -1, 1.5):
        with pytest.raises(ConfigError, match="expected a whole number of at least 1"):
            remove_old(url, keep=wrong)  # type: ignore[arg-type]
    assert len(checkpoints(url)) == 4


def test_of_one_that_cannot_be_read_nothing_is_removed(url: str, tmp_path: Path) -> None:
    """Its files are not known."""
    (tmp_path / "step-2" / ".metadata").write_bytes(b"damaged")
    before = files(tmp_path)
    with pytest.raises(IntegrityError, match="step-2"):
        remove_old(url, keep=1)
    with pytest.raises(IntegrityError, match="step-2"):
        remove_unfinished(url)
    assert files(tmp_path) == before


def test_old_files_of_no_checkpoint_are_removed(url: str, tmp_path: Path) -> None:
    """Those of a save that may go on stay, and so does what is no checkpoint's."""
    (tmp_path / "step-2" / "notes").write_text("a")
    assert remove_unfinished(url) == 0
    for name in files(tmp_path):
        os.utime(tmp_path / name, (1000, 1000))
    (young,) = (tmp_path / "step-30").glob("*.distcp")
    write(tmp_path / "young", 1)
    (tmp_path / "young" / ".metadata").unlink()
    before = files(tmp_path)
    assert remove_unfinished(url) == 1
    assert {*before} - {*files(tmp_path)} == {
        name for name in before if name.startswith("step-5000")
    }
    assert young.exists()
    with pytest.raises(ConfigError, match="expected a number above zero"):
        remove_unfinished(url, older_than_s=0)
