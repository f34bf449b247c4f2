"""The download: one pass, one version, and only right bytes get the target's name."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aisio.errors import (
    AccessError,
    ConfigError,
    DigestError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    StoreTimeoutError,
    TruncatedError,
    UnavailableError,
)
from aisio.records import RetryPolicy
from aisio.resources.download.download import download
from aisio.resources.download.partial import PartialFile, PartialState
from aisio.resources.origins.store import url_origin

MIB = 1024 * 1024
DATA, OTHER = (random.Random(seed).randbytes(5 * MIB + 7) for seed in range(2))
FAST = RetryPolicy(attempts=3, first_wait_s=0.0, longest_wait_s=0.0)


def sha256(data):
    """Return a digest as a catalog writes it."""
    return hashlib.sha256(data).hexdigest()


class Reply:
    """A reply that ends, or breaks off, at some byte."""

    def __init__(self, data, start, version, end, error, size, origin):
        self.start, self.version, self.size_bytes = start, version, size
        self.sha256, self.checks_itself = origin.promised, origin.checks_itself
        self._data, self._at, self._end, self._error = data, start, end, error
        self.closed = False

    def readinto(self, buffer):
        count = min(len(buffer), max(self._end - self._at, 0))
        if not count and self._error:
            raise self._error
        buffer[:count] = self._data[self._at : self._at + count]
        self._at += count
        return count

    def close(self):
        self.closed = True


class Origin:
    """Gives the replies of a script: (data, version, cut at, error), the last one over and over.

    Attributes:
        starts: First bytes that were asked for.
    """

    def __init__(
        self,
        *script,
        url="test://origin",
        ranges=True,
        known_size=True,
        size_bytes=0,
        promised=None,
        checks_itself=True,
    ):
        self.url, self.script = url, list(script)
        self.ranges, self.known_size, self.size_bytes = ranges, known_size, size_bytes
        self.promised, self.checks_itself = promised, checks_itself
        self.starts, self.replies = [], []

    def open(self, start=0):
        self.starts.append(start)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        data, version, end, error = step
        start = start if self.ranges else 0
        size = (self.size_bytes or len(data)) if self.known_size else None
        end = len(data) if end is None else end
        reply = Reply(data, start, version, end, error, size, self)
        self.replies.append(reply)
        return reply


def whole(data=DATA, version="v1"):
    """Return the step of a script that gives all."""
    return (data, version, None, None)


def cut(data=DATA, version="v1", at=2 * MIB, error=None):
    """Return the step of a script that breaks off."""
    return (data, version, at, error or TruncatedError("cut"))


DIGEST = sha256(DATA)


@pytest.fixture
def target(tmp_path):
    """Return a path in a folder of its own."""
    return tmp_path / "file.bin"


def fetch(target, *origins, digest=DIGEST, **more):
    """Download with little patience."""
    return download(origins, target, digest=digest, retry=FAST, **more)


def names_in_folder(target):
    """Return the names in the target's folder."""
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "one byte", "5 MiB"])
@pytest.mark.parametrize("known_size", [True, False])
def test_bytes_get_their_name_and_nothing_else_is_left(target, data, known_size):
    """The file has the bytes of the origin, and their SHA256 is returned."""
    origin = Origin(whole(data), known_size=known_size)
    assert fetch(target, origin, digest=sha256(data)) == sha256(data)
    assert target.read_bytes() == data
    assert names_in_folder(target) == ["file.bin"]
    assert all(reply.closed for reply in origin.replies)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "SHA512", "blake2b"])
def test_other_digests_are_counted_by_their_own_algorithm(target, algorithm):
    """`algorithm:digits`, in any case of letters."""
    digits = hashlib.new(algorithm.lower(), DATA).hexdigest()
    got = fetch(target, Origin(whole()), digest=f"{algorithm}:{digits.upper()}")
    assert got == f"{algorithm.lower()}:{digits}"


@pytest.mark.parametrize("digest", ["crc99:00", "shake_128:00", ":00"])
def test_an_algorithm_that_python_has_not_is_refused(target, digest):
    """Before any request. Digests without a fixed length cannot be compared."""
    origin = Origin(whole())
    with pytest.raises(ConfigError, match="hashlib has no"):
        fetch(target, origin, digest=digest)
    assert origin.starts == []


def test_ngc_15_a_wrong_digest_leaves_nothing(target):
    """A ValueError with the expected and the actual digest."""
    with pytest.raises(DigestError, match="^SHA256 hash of downloaded file") as failure:
        fetch(target, Origin(whole(OTHER)))
    assert isinstance(failure.value, ValueError)
    assert f"expected {sha256(DATA)} but got {sha256(OTHER)}" in str(failure.value)
    assert names_in_folder(target) == []


def test_ngc_15_a_wrong_digest_leaves_the_old_file_alone(target):
    """It keeps its name, and `before_replacing` is not called."""
    target.write_bytes(b"old")
    calls = []
    with pytest.raises(DigestError):
        fetch(target, Origin(whole(OTHER)), before_replacing=lambda: calls.append(1))
    assert target.read_bytes() == b"old"
    assert calls == []


def test_the_old_file_is_there_until_the_new_one_is_right(target):
    """`before_replacing` is called when the new bytes are right, not earlier."""
    target.write_bytes(b"old")
    seen = []
    fetch(target, Origin(whole()), before_replacing=lambda: seen.append(target.read_bytes()))
    assert seen == [b"old"]
    assert target.read_bytes() == DATA


def test_a_cut_response_is_resumed(target):
    """From the next byte, where the version is the same."""
    origin = Origin(cut(), cut(at=3 * MIB, error=StoreTimeoutError("silent")), whole())
    fetch(target, origin)
    assert origin.starts == [0, 2 * MIB, 3 * MIB]
    assert target.read_bytes() == DATA


def test_a_response_that_ends_early_is_cut(target):
    """It has fewer bytes than its size."""
    origin = Origin((DATA, "v1", MIB, None), whole())
    fetch(target, origin)
    assert origin.starts == [0, MIB]
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("first", "then", "starts"),
    [
        (cut(), whole(DATA, "v2"), [0, 2 * MIB, 0]),
        (cut(OTHER), whole(DATA, "v2"), [0, 2 * MIB, 0]),
        (cut(version=None), whole(version=None), [0, 0]),
        (cut(), whole(version=None), [0, 2 * MIB, 0]),
    ],
    ids=["new version", "changed", "no versions", "version lost"],
)
@pytest.mark.parametrize("digest", [DIGEST, None])
def test_another_version_is_never_joined_to_what_is_there(target, first, then, starts, digest):
    """The download starts over unless both responses have the same version."""
    origin = Origin(first, then)
    fetch(target, origin, digest=digest)
    assert origin.starts == (starts if digest else [0, 0])
    assert target.read_bytes() == DATA


def test_a_server_without_ranges_is_read_from_the_start(target):
    """A response that starts at 0 starts the file over."""
    origin = Origin(cut(), whole(), ranges=False)
    fetch(target, origin)
    assert origin.starts == [0, 2 * MIB]
    assert target.read_bytes() == DATA


def test_a_server_that_cuts_every_reply_is_given_up(target):
    """Receiving the same bytes again is no progress."""
    origin = Origin(cut(), ranges=False)
    with pytest.raises(TruncatedError, match="gave up after 3 tries"):
        fetch(target, origin)
    assert len(origin.starts) <= 4
    assert not target.exists()


def test_every_mebibyte_renews_the_retry_budget(target):
    """A long download over a bad line may be cut more often than a short one."""
    origin = Origin(*(cut(at=number * MIB + 5) for number in range(1, 6)), whole())
    fetch(target, origin)
    assert len(origin.starts) == 6


def test_damage_on_the_way_is_tried_once_more(target):
    """After a wrong checksum, the object is read again from its start."""
    origin = Origin(cut(error=IntegrityError("wrong checksum")), whole())
    fetch(target, origin)
    assert origin.starts == [0, 0]
    assert target.read_bytes() == DATA


def test_lasting_damage_is_an_error(target):
    """The second time it is."""
    with pytest.raises(IntegrityError, match="wrong checksum"):
        fetch(target, Origin(cut(error=IntegrityError("wrong checksum"))))
    assert not target.exists()


def test_mirrors_are_tried_in_order(target, caplog):
    """Each failure is logged; the first right one ends it."""
    origins = [
        Origin(NotFoundError("not here"), url="test://a"),
        Origin(whole(OTHER), url="test://b"),
        Origin(whole(), url="test://c"),
        Origin(whole(), url="test://d"),
    ]
    with caplog.at_level(logging.WARNING):
        fetch(target, *origins)
    assert target.read_bytes() == DATA
    assert [len(origin.starts) for origin in origins] == [1, 1, 1, 0]
    assert "test://a: not here" in caplog.text
    assert f"got {sha256(OTHER)}" in caplog.text


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([NotFoundError("no"), NotFoundError("none")], NotFoundError),
        ([NotFoundError("no"), AccessError("forbidden")], StorageError),
        ([ConfigError("no cluster"), whole(OTHER), UnavailableError("off")], DigestError),
    ],
)
def test_when_all_fail_each_is_named_with_its_cause(target, errors, kind):
    """One error: of the kind on which all agree, and a DigestError where bytes were wrong."""
    origins = [Origin(error, url=f"test://{number}") for number, error in enumerate(errors)]
    with pytest.raises(kind) as failure:
        fetch(target, *origins)
    for number, error in enumerate(errors):
        cause = str(error) if isinstance(error, Exception) else sha256(OTHER)
        assert f"test://{number}: " in str(failure.value)
        assert cause in str(failure.value)
    assert names_in_folder(target) == []


def broken_off(target, data=DATA[: 2 * MIB], version="v1", url="test://origin"):
    """Make the files that a killed download leaves."""
    partial = PartialFile(target)
    partial.path.write_bytes(data)
    partial.write_state(PartialState(url, version, len(DATA)))


def test_a_failed_download_is_resumed_by_the_next(target):
    """The bytes are in the partial file, and are not requested again."""
    with pytest.raises(UnavailableError):
        fetch(target, Origin(cut(), UnavailableError("off", given_up=True)))
    assert not target.exists()
    origin = Origin(whole())
    fetch(target, origin)
    assert origin.starts == [2 * MIB]
    assert target.read_bytes() == DATA
    assert names_in_folder(target) == ["file.bin"]


def test_a_download_that_is_cut_again_keeps_what_it_had(target):
    """Its bytes are right as far as known, so giving up keeps them."""
    broken_off(target)
    origin = Origin(cut())
    with pytest.raises(TruncatedError):
        fetch(target, origin)
    assert set(origin.starts) == {2 * MIB}
    assert PartialFile(target).path.stat().st_size == 2 * MIB


def test_a_mirror_that_cannot_be_used_costs_nothing_of_anothers(target):
    """The bytes of the first origin are kept for the next download."""
    unusable = Origin(ConfigError("no endpoint"), url="test://unusable")
    with pytest.raises(StorageError, match="none of 2 sources"):
        fetch(target, Origin(cut()), unusable)
    assert PartialFile(target).path.stat().st_size == 2 * MIB


@pytest.mark.parametrize("bad", [whole(OTHER), RangeError("416")], ids=["bytes", "shorter"])
def test_a_continuation_that_does_not_match_starts_over(target, bad):
    """Servers behind one name may differ: the file is read once more, in one response."""
    origin = Origin(cut(), bad, whole())
    fetch(target, origin)
    assert origin.starts == [0, 2 * MIB, 0]
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("there", "starts"),
    [
        ({}, [2 * MIB]),
        ({"version": "v0"}, [2 * MIB, 0]),
        ({"data": OTHER[: 2 * MIB]}, [2 * MIB, 0]),
        ({"url": "test://elsewhere"}, [0]),
        ({"data": b""}, [0]),
        ({"data": DATA}, []),
        ({"data": OTHER}, [0]),
        ({"data": DATA + b"more"}, [0]),
    ],
    ids=["same", "changed", "damaged", "moved", "empty", "all", "all wrong", "too long"],
)
def test_a_partial_file_is_used_only_if_it_matches(target, there, starts):
    """Same origin, same version, and in the end the right digest; else it starts over."""
    broken_off(target, **there)
    origin = Origin(whole())
    fetch(target, origin)
    assert origin.starts == starts
    assert target.read_bytes() == DATA
    assert names_in_folder(target) == ["file.bin"]


def test_without_a_digest_nothing_is_resumed(target):
    """Nothing would show whether the whole file is right."""
    broken_off(target, data=OTHER[: 2 * MIB])
    origin = Origin(whole())
    fetch(target, origin, digest=None)
    assert origin.starts == [0]
    assert target.read_bytes() == DATA


def test_without_a_digest_responses_are_not_joined(target):
    """A cut response is not verified to its end, and a range has no checksum."""
    origin = Origin(cut(OTHER), whole())
    fetch(target, origin, digest=None)
    assert origin.starts == [0, 0]
    assert target.read_bytes() == DATA


def test_responses_that_nothing_checks_are_joined(target):
    """As those of a web server: starting over would check no more, and may never end."""
    origin = Origin(cut(), whole(), checks_itself=False)
    fetch(target, origin, digest=None)
    assert origin.starts == [0, 2 * MIB]
    assert target.read_bytes() == DATA
    changed = Origin(cut(OTHER, "v0"), whole(), checks_itself=False)
    fetch(target, changed, digest=None)
    assert changed.starts == [0, 2 * MIB, 0]
    assert target.read_bytes() == DATA


def test_what_an_origin_promises_is_a_digest(target):
    """Where the catalog has none: replies are joined, and compared with it."""
    origin = Origin(cut(), whole(), promised=DIGEST)
    assert fetch(target, origin, digest=None) == DIGEST
    assert origin.starts == [0, 2 * MIB]
    assert target.read_bytes() == DATA


def test_other_bytes_than_an_origin_promises_leave_nothing(target):
    """As with a digest of the catalog; the next mirror is tried."""
    with pytest.raises(DigestError, match=f"expected {DIGEST} but got .* itself promises"):
        fetch(target, Origin(whole(OTHER), promised=DIGEST), digest=None)
    assert names_in_folder(target) == []
    fetch(target, Origin(whole(OTHER), promised=DIGEST), Origin(whole(OTHER)), digest=None)
    assert target.read_bytes() == OTHER


def test_the_catalogs_digest_counts_more_than_an_origins(target):
    """It says which bytes the user wants."""
    fetch(target, Origin(whole(), promised=sha256(OTHER)))
    assert target.read_bytes() == DATA


STALE = OSError(errno.ESTALE, "Stale file handle")


def test_an_origin_that_cannot_be_read_is_not_a_target_that_cannot_be_written(target):
    """As on NFS: the bytes so far are kept, and the next mirror is tried."""
    broken = Origin(cut(error=STALE), url="test://nfs")
    with pytest.raises(UnavailableError, match="GET test://nfs: Stale file handle"):
        fetch(target, broken)
    assert PartialFile(target).path.stat().st_size == 2 * MIB
    fetch(target, broken, Origin(whole()))
    assert target.read_bytes() == DATA


def test_an_origin_that_can_be_read_again_is_resumed(target):
    """It is opened again, at the next byte."""
    origin = Origin(cut(error=STALE), STALE, whole())
    with pytest.raises(UnavailableError):
        fetch(target, origin)
    origin = Origin(cut(at=3 * MIB, error=STALE), whole())
    fetch(target, origin)
    assert origin.starts == [2 * MIB, 3 * MIB]
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("state", [b"", b"{", b'{"url": 1}'])
def test_a_damaged_state_is_as_none(target, state):
    """The download starts over."""
    broken_off(target)
    Path(target.parent, ".file.bin.json.aisio-partial").write_bytes(state)
    origin = Origin(whole())
    fetch(target, origin)
    assert origin.starts == [0]
    assert target.read_bytes() == DATA


def test_nothing_is_read_that_does_not_fit_on_the_disk(target):
    """The error names the bytes that are needed, and the file."""
    origin = Origin(whole(), size_bytes=2**60)
    with pytest.raises(OSError, match="1,152,921,504,606,846,976 bytes are needed") as failure:
        fetch(target, origin)
    assert failure.value.errno == errno.ENOSPC
    assert failure.value.filename == str(target)
    assert names_in_folder(target) == []


def test_a_mirror_that_claims_too_much_gives_way_to_the_next(target):
    """The next one may name another size, and the right one."""
    claims = Origin(whole(), size_bytes=2**60, url="test://claims")
    fetch(target, claims, Origin(whole(), url="test://mirror"))
    assert target.read_bytes() == DATA


def test_a_claim_is_named_beside_the_other_mirrors_failures(target):
    """If all origins need more than is free, the error is that of the disk."""
    claims = [Origin(whole(), size_bytes=2**60, url=f"test://{number}") for number in "12"]
    with pytest.raises(StorageError, match=r"(?s)bytes are needed.*no such"):
        fetch(target, claims[0], Origin(NotFoundError("no such"), url="test://mirror"))
    with pytest.raises(OSError, match="bytes are needed") as failure:
        fetch(target, *claims)
    assert failure.value.errno == errno.ENOSPC


def test_a_disk_that_fills_up_leaves_nothing(target):
    """Also where nothing said before how much would come."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB + 5, hard))
    try:
        with pytest.raises(OSError, match="make room") as failure:
            fetch(target, Origin(whole(), known_size=False))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert failure.value.filename == str(target)
    assert names_in_folder(target) == []


def test_a_folder_that_is_not_there_is_an_error_before_anything_is_read(tmp_path):
    """An error of the target is raised as it is, and no mirror is tried."""
    origins = [Origin(whole()), Origin(whole())]
    with pytest.raises(FileNotFoundError):
        fetch(tmp_path / "no" / "file.bin", *origins)
    assert [origin.starts for origin in origins] == [[], []]


def test_progress_is_reported(target):
    """With the bytes so far, those of an earlier process included, and the size."""
    broken_off(target)
    reports = []
    fetch(target, Origin(whole()), on_progress=lambda *numbers: reports.append(numbers))
    assert reports[0] == (3 * MIB, len(DATA))
    assert reports[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a defect")])
def test_whatever_ends_it_nothing_gets_the_name(target, error):
    """After Ctrl-C a download can be resumed; after a defect nothing is left."""
    with pytest.raises(type(error)):
        fetch(target, Origin(cut(error=error)))
    assert not target.exists()
    assert bool(names_in_folder(target)) == isinstance(error, KeyboardInterrupt)


KILLED = """
import sys, os, signal
from pathlib import Path
from aisio.resources.download.download import download
from aisio.resources.origins.store import url_origin

def show(done, size):
    if done > size // 2:
        os.kill(os.getpid(), signal.SIGKILL)

download([url_origin(sys.argv[1])], Path(sys.argv[2]), digest=sys.argv[3], on_progress=show)
"""


def test_a_process_killed_halfway_costs_what_it_had_not_written(target, tmp_path):
    """By SIGKILL: nothing has the name, and the next one reads the rest only."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "data").write_bytes(DATA)
    url = f"file://{source}/data"
    script = [sys.executable, "-c", KILLED, url, str(target), sha256(DATA)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run(script, env=environ, check=False).returncode == -signal.SIGKILL
    assert not target.exists()
    partial = PartialFile(target).path
    assert len(DATA) // 2 < partial.stat().st_size < len(DATA)
    reports = []
    download(
        [url_origin(url)],
        target,
        digest=sha256(DATA),
        on_progress=lambda done, size: reports.append(done),
    )
    assert reports[0] > len(DATA) // 2 + MIB / 2
    assert target.read_bytes() == DATA
