"""The header of a safetensors file: read as strictly as the library reads it, and written alike."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aisio.errors import CheckpointError, ConfigError
from aisio.formats.safetensors import (
    DTYPE_BITS,
    LENGTH_BYTES,
    Header,
    check_data_bytes,
    encode_header,
    header_bytes,
    parse_header,
    unique_keys,
)

URL = "ais://b/model.safetensors"
ENTRY = '"dtype":"U8","shape":[2],"data_offsets":[0,2]'


def raw(text: str | bytes, data: bytes = b"xy") -> bytes:
    """Return a file with this header and these bytes behind it."""
    encoded = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(encoded)) + encoded + data


def read(file: bytes) -> Header:
    """Read the header of a file that is in memory."""
    length = header_bytes(file[:LENGTH_BYTES], len(file), URL)
    stop = LENGTH_BYTES + length
    return parse_header(file[LENGTH_BYTES:stop], len(file) - stop, URL)


def entry(dtype: str, shape: str, offsets: str) -> str:
    """Return a header of one tensor."""
    return f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}'


REFUSED = {
    b"": "it has 0 bytes, and no header",
    b"1234567": "it has 7 bytes, and no header",
    struct.pack("<Q", 100) + b"{}": "its header has 100 bytes, the file 10",
    struct.pack("<Q", 1 << 63): "announce a header of 9,223,372,036,854,775,808 bytes",
    raw(""): "its header cannot be read",
    raw("[]"): "its header is an array, not an object",
    raw("null"): "its header is null, not an object",
    raw("7"): "its header is a number, not an object",
    raw(b'{"a\xff":{}}'): "cannot be read: 'utf-8'",
    raw(f'{{"a":{{{ENTRY}}}}}x'): "its header cannot be read: Extra data",
    raw(f'{{"a":{{{ENTRY}}},"a":{{{ENTRY}}}}}'): "'a' is there twice",
    raw(f'{{"a":{{"dtype":"U8",{ENTRY}}}}}'): "'dtype' is there twice",
    raw(f'{{"a":{{"x":NaN,{ENTRY}}}}}'): "NaN is no JSON",
    raw(f'{{"a\n":{{{ENTRY}}}}}'): "its header cannot be read: Invalid control character",
    raw(f'{{"a":{{"x":{"[" * 100_000}{"]" * 100_000},{ENTRY}}}}}'): "cannot be read",
    raw(f'{{"\\ud800":{{{ENTRY}}}}}'): "is not Unicode",
    raw('{"__metadata__":{"a":1}}', b""): "'a' in its __metadata__ is a number, not a text",
    raw('{"__metadata__":{"a":"\\ud800"}}', b""): "'a' in its __metadata__ is not Unicode",
    raw('{"__metadata__":[]}', b""): "its __metadata__ is an array",
    raw('{"a":"text"}'): "the entry of tensor 'a' is a text",
    raw('{"a":{"dtype":"U8","data_offsets":[0,2]}}'): "tensor 'a' has no shape",
    raw(entry("u8", "[2]", "[0,2]")): "tensor 'a' is of the unknown dtype 'u8'",
    raw(entry("U8", "[2.0]", "[0,2]")): r"the shape of tensor 'a' is \[2.0\]",
    raw(entry("U8", "[-2]", "[0,2]")): "the shape of tensor 'a' is",
    raw(entry("U8", "[-0]", "[0,0]"), b""): "the shape of tensor 'a' is",
    raw(entry("U8", "[true]", "[0,1]"), b"x"): r"the shape of tensor 'a' is \[True\]",
    raw(entry("U8", "[18446744073709551616]", "[0,2]")): "the shape of tensor 'a' is",
    raw(entry("U8", "[" + "9" * 5000 + "]", "[0,2]")): "its header cannot be read",
    raw(entry("U8", "[4294967296,4294967296]", "[0,2]")): "the size of tensor 'a', U8 of shape",
    raw(entry("I64", "[1152921504606846976]", "[0,2]")): "overflows",
    raw(entry("U8", "[2]", "[0,2,3]")): "the data_offsets of tensor 'a' are",
    raw(entry("U8", "[2]", "[0]")): "the data_offsets of tensor 'a' are",
    raw(entry("U8", "[2]", '"02"')): "the data_offsets of tensor 'a' are 02, not two offsets",
    raw(entry("U8", "[3]", "[0,2]")): r"has 3 bytes, but its data_offsets are \[0, 2\]",
    raw(entry("U8", "[2]", "[2,0]")): "has 2 bytes, but its data_offsets are",
    raw(entry("F4", "[3]", "[0,1]"), b"x"): r"F4 of shape \[3\], has 1.5 bytes",
    raw(entry("U8", "[2]", "[1,3]"), b"xyz"): "bytes 0 to 1 before tensor 'a' belong to no tensor",
    raw(f'{{"a":{{{ENTRY}}},"b":{{{ENTRY}}}}}'): "'b' begins at byte 0; tensor 'a' ends at 2",
    raw(f'{{"a":{{{ENTRY}}}}}', b"x"): "tensor 'a' ends at byte 2 of 1 behind the header",
    raw(f'{{"a":{{{ENTRY}}}}}', b"xyz"): "1 bytes follow the last tensor",
    raw("{}"): "2 bytes follow the last tensor",
}


@pytest.mark.parametrize(("file", "problem"), REFUSED.items(), ids=[*REFUSED.values()])
def test_what_is_wrong_is_told(file: bytes, problem: str) -> None:
    """With the URL, the tensor and the bytes; and in not too many words."""
    with pytest.raises(CheckpointError, match=problem) as raised:
        read(file)
    assert str(raised.value).startswith(f"{URL} is not a sound safetensors file: ")
    assert len(str(raised.value)) < 400


def test_what_is_allowed() -> None:
    """Spaces around the JSON, fields that are not known, no metadata, names of any kind."""
    for text in (f' {{"a":{{"x":[-1.5],{ENTRY}}}}} \n', f'{{"__metadata__":null,"a":{{{ENTRY}}}}}'):
        header = read(raw(text))
        assert (*header.tensors["a"], header.metadata) == ("a", "U8", (2,), 0, 2, None)
        assert (header.tensors["a"].size_bytes, header.data_bytes) == (2, 2)
    assert read(raw("{}", b"")) == Header({}, None)
    assert [*read(raw(f'{{"\\ud83d\\ude00\\n":{{{ENTRY}}}}}')).tensors] == ["\U0001f600\n"]
    huge = f"[0,{1 << 40},{1 << 40}]"
    assert read(raw(entry("U8", huge, "[0,0]"), b"")).tensors["a"].size_bytes == 0
    assert read(raw('{"__metadata__":{"k":"v"}}', b"")).metadata == {"k": "v"}


def test_tensors_come_in_the_order_of_their_bytes() -> None:
    """Those without bytes before those that begin where they are."""
    empty = '{"dtype":"U8","shape":[0],"data_offsets":[%d,%d]}'
    text = f'{{"d":{empty % (2, 2)},"c":{{{ENTRY}}},"b":{empty % (0, 0)},"a":{empty % (0, 0)}}}'
    assert [*read(raw(text)).tensors] == ["a", "b", "c", "d"]


def test_what_is_written() -> None:
    """The largest elements first, then by name; the header's length is a multiple of eight."""
    start, header = encode_header(
        {"b": ("U8", (3,)), "z": ("F32", ()), "a": ("U8", (2, 2)), "f": ("F4", (4,))}, {"k": "é\n"}
    )
    assert start[LENGTH_BYTES:].decode().rstrip() == (
        '{"__metadata__":{"k":"é\\n"},"z":{"dtype":"F32","shape":[],"data_offsets":[0,4]},'
        '"a":{"dtype":"U8","shape":[2,2],"data_offsets":[4,8]},'
        '"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},'
        '"f":{"dtype":"F4","shape":[4],"data_offsets":[11,13]}}'
    )
    assert len(start) % 8 == 0
    assert read(start + bytes(13)) == header
    assert encode_header({}, None)[0] == b"\x08" + bytes(7) + b"{}      "


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"step": 7}, r"metadata\['step'\] = 7: keys and values are texts; 7 is of type int"),
        ({7: "a"}, "7 is of type int"),
        ({"a": None}, "None is of type NoneType"),
        ({"a": "\ud800"}, "the text is not Unicode"),
        ([("a", "b")], "metadata=list: expected a dict of texts"),
    ],
)
def test_metadata_is_text(metadata: Any, problem: str) -> None:
    """Numbers and the rest are refused, with what to write."""
    with pytest.raises(ConfigError, match=problem):
        encode_header({}, metadata)


@pytest.mark.parametrize("name", [7, "__metadata__", "\udcff"])
def test_names_that_no_file_can_have(name: Any) -> None:
    """Are refused when the file is written."""
    with pytest.raises(ConfigError, match="cannot be the name of a tensor"):
        encode_header({name: ("U8", (1,))}, None)


def test_keys_are_unique() -> None:
    """As a hook of json."""
    with pytest.raises(ValueError, match="'a' is there twice"):
        json.loads('[{"a": 1, "b": 2, "a": 3}]', object_pairs_hook=unique_keys)


SIZES = st.integers(-1, 5) | st.sampled_from([1 << 32, 1 << 64, 2.0, True, None])
TENSOR = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPE_BITS, "F12"]),
        "shape": st.lists(SIZES, max_size=3),
        "data_offsets": st.lists(SIZES, min_size=2, max_size=2),
    },
    optional={"other": st.none()},
)
METADATA = st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.integers())


@st.composite
def sound(draw: Any) -> tuple[dict[str, Any], int]:
    """Return the fields of a sound header, perhaps with one fault, and the size of the data."""
    fields: dict[str, Any] = {}
    start = 0
    for name in draw(st.lists(st.text(max_size=3), max_size=4, unique=True)):
        dtype = draw(st.sampled_from([*DTYPE_BITS]))
        shape = [*draw(st.lists(st.integers(0, 3), max_size=2)), 4]
        stop = start + int(_product(shape) * DTYPE_BITS[dtype]) // 8
        fields[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}
        start = stop
    if fields and draw(st.booleans()):
        fields[draw(st.sampled_from(sorted(fields)))] = draw(TENSOR)
    if draw(st.booleans()):
        fields["__metadata__"] = draw(METADATA)
    return fields, start + draw(st.sampled_from([0, 0, 0, 1, -1]))


def _product(sizes: list[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


@given(sound() | st.tuples(st.dictionaries(st.text(max_size=3), TENSOR, max_size=3), SIZES))
@example(({}, 0))
def test_a_header_is_accepted_where_the_library_accepts_it(drawn: tuple[dict[str, Any], Any]):
    """With the same tensors; everything else is an error of ours."""
    library = pytest.importorskip("safetensors")
    fields, size = drawn
    data = bytes(size if type(size) is int and 0 <= size < 100 else 0)
    file = raw(json.dumps(fields), data)
    try:
        found = dict(library.deserialize(file))
    except library.SafetensorError:
        with pytest.raises(CheckpointError):
            read(file)
        return
    ours = read(file).tensors
    assert {name: (one["dtype"], tuple(one["shape"])) for name, one in found.items()} == {
        name: (one.dtype, one.shape) for name, one in ours.items()
    }


@pytest.mark.parametrize("dtype", ["U8", "of the future"])
def test_a_file_is_as_long_as_its_header_says(dtype: str) -> None:
    """Whatever its tensors are."""
    text = entry(dtype, "[2]", "[0, 2]").encode()[:-1] + b', "__metadata__": {"a": "b"}}'
    check_data_bytes(text, 2, URL)
    for size in (1, 3):
        with pytest.raises(CheckpointError, match=f"^{URL} .* end at byte 2 of {size} behind"):
            check_data_bytes(text, size, URL)
    check_data_bytes(b"{}", 0, URL)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"\xff": {}}', b'{"a": {"data_offsets": 1}}'])
def test_a_header_that_cannot_be_read_has_no_length(text: bytes) -> None:
    """It is no JSON, or the JSON of something else."""
    with pytest.raises(CheckpointError, match=f"^{URL} .* its header cannot be read"):
        check_data_bytes(text, 0, URL)


@given(st.binary(max_size=40), st.booleans())
def test_any_bytes_are_a_header_or_an_error(noise: bytes, as_header: bool) -> None:
    """Never another exception."""
    file = raw(noise, b"") if as_header else noise
    with suppress(CheckpointError):
        read(file)
