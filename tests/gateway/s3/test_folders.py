"""Keys that end with "/": folders, as s3fs, pyarrow and consoles make them."""

from __future__ import annotations

from tests.gateway.s3.conftest import S3Bucket, code


def test_a_folder_is_made_found_and_removed(s3: S3Bucket) -> None:
    """It holds nothing, and is in no listing."""
    assert s3.send("HEAD", "d/e/").status_code == 404
    assert s3.send("PUT", "d/e/").status_code == 200
    assert (s3.folder / "d" / "e").is_dir()
    head = s3.send("HEAD", "d/e/")
    assert (head.status_code, head.headers["Content-Length"]) == (200, "0")
    assert head.headers["Content-Type"] == "application/x-directory"
    assert s3.send("GET", "d/e/").content == b""
    assert s3.texts(s3.send("GET"), "Key") == []
    assert s3.send("DELETE", "d/e/").status_code == 200
    assert not (s3.folder / "d").exists()
    assert code(s3.send("DELETE", "d/e/")) == (404, "NoSuchKey")


def test_a_folder_keeps_no_data_and_its_objects(s3: S3Bucket) -> None:
    """Data for it is refused; removing it leaves what is in it."""
    assert code(s3.send("PUT", "d/", b"data")) == (400, "InvalidArgument")
    assert not (s3.folder / "d").exists()
    s3.send("PUT", "d/o", b"x")
    assert s3.send("DELETE", "d/").status_code == 200
    assert s3.send("GET", "d/o").content == b"x"


def test_an_object_is_no_folder(s3: S3Bucket) -> None:
    """Nor can a folder be made in its place, or outside the bucket."""
    s3.send("PUT", "o", b"x")
    assert s3.send("HEAD", "o/").status_code == 404
    assert s3.send("PUT", "o/").status_code == 400
    assert s3.send("PUT", "%2e%2e/x/").status_code == 400
    assert s3.send("GET", "%2e%2e/").status_code in (400, 404)
    assert s3.send("PUT", "d/", query="?uploadId=x&partNumber=1").status_code == 400


def test_conditions_of_folders(s3: S3Bucket) -> None:
    """Of creators at once one wins; a folder that another has made anew is not removed."""
    made = s3.send("PUT", "d/", if_none_match="*")
    assert made.status_code == 200
    assert s3.send("HEAD", "d/").headers["ETag"] == made.headers["ETag"]
    assert code(s3.send("PUT", "d/", if_none_match="*")) == (412, "PreconditionFailed")
    assert code(s3.send("PUT", "other/", if_match="*")) == (404, "NoSuchKey")
    assert code(s3.send("DELETE", "d/", if_match='"folder-0"')) == (412, "PreconditionFailed")
    assert s3.send("DELETE", "d/", if_match=made.headers["ETag"]).status_code == 200
    assert s3.send("HEAD", "d/").status_code == 404
