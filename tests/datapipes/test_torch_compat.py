"""torch_compat: streams, and the names that become methods; with torch's base and without."""

from __future__ import annotations

import multiprocessing

import pytest

from aisio.datapipes import AISFileLister, AISFileLoader, AISSourceLister
from aisio.datapipes.torch_compat import IterDataPipe, functional_names

NAMES = ["obj0", "obj1", "temp/obj0", "temp/obj1"]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with four files, as the URL of a prefix."""
    (tmp_path / "temp").mkdir()
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    return f"file://{tmp_path}/"


def test_functional_names_chain(folder):
    """AIS-19, AIS-20: new and older names are methods of every datapipe."""
    urls = AISSourceLister([folder])
    assert [stream.read() for _, stream in urls.ais_load_files()] == [n.encode() for n in NAMES]
    again = urls.load_files_by_ais()
    assert isinstance(again, AISFileLoader)
    assert isinstance(AISSourceLister([folder]).ais_list_files(), AISFileLister)
    assert isinstance(AISSourceLister([folder]).list_files_by_ais(), AISFileLister)
    assert isinstance(AISSourceLister([folder]).ais_list_sources(), AISSourceLister)
    assert isinstance(AISSourceLister([folder]).list_sources_by_ais(), AISSourceLister)


def test_a_stream_stays_open_while_it_is_read(folder):
    """Also where nobody else holds it."""
    pipe = AISFileLoader([folder + "obj0"])
    data = next(iter(pipe))[1].read()  # in an assertion, pytest would hold it
    lines = [line for line in next(iter(pipe))[1]]  # noqa: C416
    line = next(next(iter(pipe))[1])
    assert (data, lines, line) == (b"obj0", [b"obj0"], b"obj0")


def test_a_stream_cannot_be_given_to_a_process(folder):
    """The process that starts the other one raises the error."""
    _, stream = next(iter(AISFileLoader([folder + "obj0"])))
    process = multiprocessing.get_context("spawn").Process(target=len, args=(stream,))
    with pytest.raises(TypeError, match=r"read\(\) it in the worker"):
        process.start()


def test_streams_close_when_dropped(folder):
    """A stream that nobody reads out lets go of its file."""
    _, stream = next(iter(AISFileLoader([folder + "obj0"])))
    body = stream.file_obj
    assert not body.closed
    del stream
    assert body.closed


def test_streams_close_themselves_when_read_out(folder):
    """A body that was read to its end holds no file, and goes on to say b""."""
    _, stream = next(iter(AISFileLoader([folder + "obj0"])))
    raw = stream.file_obj.raw._raw
    assert stream.read() == b"obj0"
    assert raw.closed
    assert stream.read() == b""


def test_a_name_that_is_taken_stays_with_its_owner():
    """Torchdata before 0.10 registers two of the older names."""

    class Other:
        """Another datapipe."""

    before = IterDataPipe.functions["ais_list_files"]
    assert functional_names("ais_list_files")(Other) is Other
    assert IterDataPipe.functions["ais_list_files"] is before
