from __future__ import annotations

import pytest

from tests.gateway.archive_data import make_tar, read_archive
from tests.gateway.conftest import Served


@pytest.mark.parametrize("pine", ["", "nonsense", "7"])
def test_without_a_known_way_to_append_a_new_archive_is_made(bucket: Served, pine: str) -> None:
    """The header Ais-Pine says how the member gets into the archive."""
    url = bucket.url("s.tar", "?archpath=m")
    assert bucket.http.put(url, data=b"new", headers={"Ais-Pine": pine}).status_code == 200
    assert read_archive(bucket.get("s.tar").content) == [("m", b"new")]


def test_a_member_with_a_wrong_checksum_is_not_written(bucket: Served) -> None:
    """The claim is about the member, and the archive stays as it is."""
    archive = make_tar()
    bucket.put("s.tar", archive)
    claim = {"Ais-Checksum-Type": "md5", "Ais-Checksum-Value": "00", "Ais-Pine": "2"}
    response = bucket.http.put(bucket.url("s.tar", "?archpath=m"), data=b"new", headers=claim)
    assert (response.status_code, response.json()["tcode"]) == (500, "ErrBadCksum")
    assert bucket.get("s.tar").content == archive
