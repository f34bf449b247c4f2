"""safe_open: single tensors and slices, and no more bytes than these need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aisio.checkpoint.safetensors import TensorSlice, load_file, safe_open, save_file
from aisio.errors import CheckpointError, NotSupportedError
from aisio.formats.safetensors import encode_header
from tests.checkpoint.safetensors.stored import URL, CountingStore, bytes_of, data_of, file_of, same

CPU = torch.device("cpu")
CUBE = torch.arange(4 * 5 * 6).reshape(4, 5, 6)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a file with a few tensors."""
    url = f"file://{tmp_path}/a"
    save_file({"cube": CUBE, "s": torch.tensor(3.0), "e": torch.zeros(0, 3)}, url, {"k": "v"})
    return url


def test_it_is_used_like_the_librarys(url: str) -> None:
    """Names, texts, tensors; by any of the names that PyTorch has there."""
    for framework in ("pt", "torch", "pytorch"):
        with safe_open(url, framework, "cpu") as file:
            assert file.keys() == ["cube", "e", "s"]
            assert file.offset_keys() == ["cube", "e", "s"]
            assert file.metadata() == {"k": "v"}
            assert same(file.get_tensor("cube"), CUBE)
            assert file.get_tensors().keys() == {"cube", "e", "s"}
            assert (file.info.url, file.get_tensor("s").item()) == (url, 3.0)
            assert file.get_slice("cube").get_shape() == [4, 5, 6]
            assert file.get_slice("cube").get_dtype() == "I64"


def test_tensors_are_on_the_device_that_was_named(url: str) -> None:
    """Whatever the default device is, as with torch.set_default_device("cuda")."""
    with torch.device("meta"), safe_open(url, device="cpu") as file:
        found = load_file(url), file.get_tensors(), {"cube": file.get_tensor("cube")}
        rows, columns = file.get_slice("cube")[1:3], file.get_slice("cube")[:, 1:3]
    for tensors in found:
        assert {tensor.device for tensor in tensors.values()} == {CPU}
        assert same(tensors["cube"], CUBE)
    assert same(rows, CUBE[1:3])
    assert same(columns, CUBE[:, 1:3])


def test_what_is_not_there_is_told(url: str) -> None:
    """A tensor, a framework, a file that was closed."""
    with safe_open(url) as file:
        for get in (file.get_tensor, file.get_slice):
            with pytest.raises(CheckpointError, match="a has no tensor 'x'; it has cube, e, s"):
                get("x")
    with pytest.raises(ValueError, match="read of a closed file"):
        file.keys()
    with pytest.raises(NotSupportedError, match="framework='np': tensors are PyTorch's"):
        safe_open(url, "np")


SLICES = st.builds(
    slice,
    st.none() | st.integers(-7, 7),
    st.none() | st.integers(-7, 7),
    st.none() | st.integers(1, 3),
)
INDICES = st.lists(SLICES | st.integers(-7, 7) | st.just(...), max_size=4).map(tuple)


@settings(max_examples=50)
@given(INDICES | SLICES | st.integers(-5, 5) | st.none() | st.lists(st.integers(-4, 3), min_size=1))
@example((..., ..., slice(None)))
@example((0, ..., 0, ..., 0))
def test_a_slice_is_that_of_the_tensor(index: Any) -> None:
    """Of any index that torch takes, and its error for any other."""
    start, _ = encode_header({"cube": ("I64", CUBE.shape)}, None)
    with CountingStore({URL.name: start + bytes_of(CUBE)}).open_file() as file:
        part = TensorSlice(file, file.header.tensors["cube"], CPU)
        try:
            expected = CUBE[index]
        except (IndexError, ValueError) as error:
            with pytest.raises(type(error)):
                part[index]
            return
        assert same(part[index], expected)


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        (slice(2000, 2010), 10),
        ((slice(2000, 2010), slice(0, 3)), 10),
        ((2000, slice(5, 7)), 1),
        (slice(2000, 2010, 3), 10),
        (slice(5, 5), 0),
    ],
)
def test_the_rows_of_a_slice_are_read_alone(index: Any, wanted: int) -> None:
    """Of a tensor of 4,000 rows of 1,000 bytes; 256 KiB are the least that is read."""
    start, _ = encode_header({"a": ("U8", (4000, 1000))}, None)
    data = start + data_of("a", 4_000_000)
    whole = torch.frombuffer(bytearray(data_of("a", 4_000_000)), dtype=torch.uint8)
    store = CountingStore({URL.name: data})
    with store.open_file() as file:
        got = TensorSlice(file, file.header.tensors["a"], CPU)[index]
    assert same(got, whole.reshape(4000, 1000)[index])
    read = [(one.stop or 0) - one.start for one in store.ranges[1:] if one]
    assert read == ([256 * 1024] if wanted else [])


def test_other_indices_read_the_whole_tensor() -> None:
    """A mask, lists; the meta device has none of its bytes read."""
    start, _ = encode_header({"cube": ("I64", CUBE.shape)}, None)
    with CountingStore({URL.name: start + bytes_of(CUBE)}).open_file() as file:
        part = TensorSlice(file, file.header.tensors["cube"], CPU)
        for index in (CUBE % 7 == 3, torch.tensor([2, 0]), (slice(None), [1, 3]), True):
            assert same(part[index], CUBE[index])
        for wrong in (1.0, "a"):
            with pytest.raises((IndexError, TypeError)):
                part[wrong]
        meta = TensorSlice(file, file.header.tensors["cube"], torch.device("meta"))
        assert meta[1:3, 0].shape == (2, 6)


def test_single_tensors_are_read_alone() -> None:
    """Large ones by several requests, neighbours that are small by one."""
    sizes = {"a": 3_000_000, **{f"n{number:02d}": 1000 for number in range(50)}}
    store = CountingStore({URL.name: file_of(sizes)})
    with store.open_file() as file:
        for name in [*sizes][1:]:
            data = bytearray(1000)
            file.read_into(memoryview(data), file.header.tensors[name].start)
            assert data == data_of(name, 1000)
    assert len(store.ranges) == 2
