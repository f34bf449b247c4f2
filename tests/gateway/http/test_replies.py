from __future__ import annotations

from pathlib import Path

import pytest
import xxhash

from aisio.gateway.http.replies import (
    Cluster,
    bucket_props,
    error_body,
    one_line,
)
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal


def test_the_map_has_one_proxy_and_one_target_at_the_same_address() -> None:
    """Clients that go straight to the target come back here."""
    smap = Cluster("/data").map("http://127.0.0.1:8080")
    assert (len(smap["pmap"]), len(smap["tmap"])) == (1, 1)
    (target,) = smap["tmap"].values()
    assert target["public_net"] == {
        "node_ip_addr": "127.0.0.1",
        "daemon_port": "8080",
        "direct_url": "http://127.0.0.1:8080",
    }
    assert smap["proxy_si"]["daemon_type"] == "proxy"
    assert smap["version"].isdigit()


def test_node_digests_are_computed_as_aistore_does() -> None:
    """XXH64 of the node's id with AIStore's seed: placement can be computed from the map."""
    smap = Cluster("/data").map("http://127.0.0.1:8080")
    for name, node in (smap["pmap"] | smap["tmap"]).items():
        assert node["daemon_id"] == name
        assert node["id_digest"] == xxhash.xxh64_intdigest(name.encode(), 1103515245)


def test_the_same_folder_has_the_same_nodes_after_a_restart() -> None:
    """What clients remember of the map stays true."""
    assert Cluster("/data").target_id == Cluster("/data").target_id
    assert Cluster("/data").target_id != Cluster("/other").target_id


def test_errors_are_ascii_on_one_line() -> None:
    """They go into a header in answers to HEAD."""
    refusal = Refusal(404, 'ais://b/ü\n"x" does not exist', tcode="ErrNotFound")
    body = error_body(refusal, Cluster("/d"), method="HEAD", path="/v1/objects/b/o", remote="r:1")
    assert body.isascii()
    assert b"\n" not in body
    assert b'"status":404' in body


def test_a_long_error_fits_a_header() -> None:
    """Clients read lines of 64 KiB."""
    refusal = Refusal(400, "\x01" * 30_000)
    body = error_body(refusal, Cluster("/d"), method="HEAD", path="/" + "a" * 32_000, remote="r:1")
    assert len(body) < 60_000


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\r\nb", "a  b"), ("ü", "ü"), ("\x00\x01\x1b\x7f", "    "), ("\t\udcff", "\t?")],
)
def test_headers_have_no_control_characters(text: str, line: str) -> None:
    """A name with a line break must not end the header, and HTTP allows but a tab."""
    assert one_line(text) == line


def test_bucket_properties_fit_a_header(tmp_path: Path) -> None:
    """One line of ASCII."""
    told = bucket_props(BucketProps(), tmp_path.stat())
    assert told.isascii()
    assert "\n" not in told
