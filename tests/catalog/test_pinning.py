"""Writing one field into a file that keeps its comments and layout."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.catalog import read_catalog
from aisio.catalog.pinning import pin
from aisio.errors import CatalogError

H = "0123456789abcdef" * 4
D = f"sha256:{H}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sha256: null # later\n", f"sha256: {H} # later\n"),
        ("sha256: ~\n", f"sha256: {H}\n"),
        ("sha256:\n", f"sha256: {H}\n"),
        ("sha256:   # later\n", f"sha256: {H}   # later\n"),
        ("sha256 : null\n", f"sha256 : {H}\n"),
        ("'sha256': null\n", f"'sha256': {H}\n"),
        ('sha256: "0000"\n', f"sha256: {H}\n"),
        ("sha256:\n        null\n", f"sha256:\n        {H}\n"),
        ("sha256: >\n        no\n        thing\n\n", f"sha256: {H}\n\n"),
        ("sha256: null", f"sha256: {H}"),
        ("sha256: null\r\n", f"sha256: {H}\r\n"),
    ],
)
def test_a_value_is_replaced_where_it_stands(write, before, after):
    """Whatever an empty value looks like; all other text stays, to the last blank."""
    head = "# note\n\n-   tag:  x   # ünï 😀\n    url: ais://b/n\n    owner: a@host.org\n    "
    tail = "" if not before.endswith("\n") else "\n# end\n- {tag: y, prefix: ais://b}\n"
    folder = write(head + before + tail)
    assert pin(folder / "team.yaml", "team/x", "sha256", H) == head + after + tail


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("- tag: x\n  prefix: ais://b\n", f"- tag: x\n  digest: {D}\n  prefix: ais://b\n"),
        (
            "- tag: x  # it\n  tar: ais://b/t\n",
            f"- tag: x  # it\n  digest: {D}\n  tar: ais://b/t\n",
        ),
        ("- prefix: ais://b\n  tag: x", f"- prefix: ais://b\n  tag: x\n  digest: {D}"),
        (
            "-\n    tag: x\n    tar: ais://b/t\n",
            f"-\n    tag: x\n    digest: {D}\n    tar: ais://b/t\n",
        ),
        ("- tag: x\r\n  tar: ais://b/t\r\n", f"- tag: x\r\n  digest: {D}\r\n  tar: ais://b/t\r\n"),
        ("- {tag: x, tar: ais://b/t}\n", f"- {{tag: x, digest: {D}, tar: ais://b/t}}\n"),
        ("[{tar: ais://b/t, tag: x}]", f"[{{tar: ais://b/t, tag: x, digest: {D}}}]"),
        (
            "- tag: x\n  tar: ais://b/t\n  digest: null\n",
            f"- tag: x\n  tar: ais://b/t\n  digest: {D}\n",
        ),
    ],
)
def test_a_missing_field_is_put_behind_the_tag(write, before, after):
    """In the entry's own layout and line ends."""
    assert pin(write(before) / "team.yaml", "team/x", "digest", D) == after


def test_the_entry_is_found_by_its_tag(write):
    """Also if several entries stand in one line, and if one value is a number."""
    text = "[{tag: 1, prefix: ais://a}, {tag: 2, prefix: ais://b}, {tag: 3, prefix: ais://c}]\n"
    edited = pin(write(text) / "team.yaml", "team/2", "digest", D)
    assert edited == text.replace("tag: 2", f"tag: 2, digest: {D}")


@pytest.mark.parametrize("digest", ["7" * 64, "0b" + "1" * 62, "0" * 64])
def test_digits_that_are_a_number_to_yaml_are_quoted(write, digest):
    """So that they are read back as text."""
    text = "- {tag: x, url: ais://b/n, sha256: null, owner: a@host.org}\n"
    folder = write(text)
    (folder / "team.yaml").write_text(pin(folder / "team.yaml", "team/x", "sha256", digest))
    assert read_catalog(folder).resources["team/x"].sha256 == digest


@pytest.mark.parametrize(
    "text",
    [
        "- {tag: x, url: ais://b/n, sha256: &no null, owner: a@b.org, description: *no}\n",
        "- {tag: y, url: ais://b/n, sha256: &no null, owner: a@b.org}\n"
        "- {tag: x, url: ais://b/n, sha256: *no, owner: a@b.org}\n",
        "- {tag: other, prefix: ais://b}\n",
        "- {tag: x, prefix: [\n",
        "- {<<: {tag: x}, prefix: ais://b}\n",
        "- {tag: [x], prefix: ais://b}\n",
        "tag: x\n",
        "",
    ],
)
def test_what_cannot_be_set_alone_is_not_set(write, text):
    """A value is shared, or the file has changed meanwhile."""
    with pytest.raises(CatalogError, match=f"set it by hand to {H}") as caught:
        pin(write(text) / "team.yaml", "team/x", "sha256", H)
    assert "team.yaml:" in caught.value.problems[0]


@pytest.mark.parametrize(
    "text", ["- tag: x\t# note\n  prefix: ais://b\n", "- {tag: x,\tprefix: ais://b}\n"]
)
def test_a_tab_that_only_libyaml_reads_is_no_traceback(write, text):
    """The entry stays, and the error says what to write, with file and line."""
    folder = write(text)
    with pytest.raises(CatalogError, match=r"team\.yaml:1: team/x: digest: .* by hand to sha256:"):
        pin(folder / "team.yaml", "team/x", "digest", D)


def test_a_file_that_is_no_longer_text_is_an_error(write):
    """It was UTF-8 when its entries were read."""
    file = write("") / "team.yaml"
    file.write_bytes(b"- {tag: x, prefix: ais://b}\n\xff")
    with pytest.raises(CatalogError, match="set it by hand"):
        pin(file, "team/x", "digest", D)


def test_what_a_merged_mapping_has_is_set_in_the_entry_itself(write):
    """The entry's own field takes precedence over one that `<<` merges."""
    text = "- &a {tag: x, url: ais://b/n, sha256: null, owner: a@b.org}\n- {<<: *a, tag: y}\n"
    edited = pin(write(text) / "team.yaml", "team/y", "sha256", H)
    assert edited == text.replace("tag: y", f"tag: y, sha256: {H}")


_BITS = st.sampled_from(
    ["null", "~", "", "'a'", '"b"', "&a c", "# d\n  e", ">\n    f\n", "[g]", "{h: i}"]
)


@settings(max_examples=200)
@given(
    fields=st.dictionaries(st.sampled_from(["sha256", "one", "two", "three"]), _BITS),
    first=st.booleans(),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_nothing_but_the_field_changes(fields, first, ends, tmp_path_factory):
    """Or nothing is written: in any layout, all lines without the field stay."""
    file = tmp_path_factory.mktemp("catalog") / "team.yaml"
    said = [f"{name}: {value}" for name, value in fields.items()]
    said.insert(0 if first else len(said), "tag: x")
    text = ("- " + "\n  ".join(said) + "\n").replace("\n", ends)
    file.write_bytes(text.encode())
    try:
        edited = pin(file, "team/x", "sha256", H)
    except CatalogError:
        return
    kept = [line for line in text.split(ends) if "sha256" not in line]
    rest = iter(edited.split(ends))
    assert all(line in rest for line in kept if line.strip() not in ("e", "f"))
    assert edited.count(H) == 1
