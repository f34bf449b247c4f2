r"""generate_tar_archive: a tar and its index, by the connector's names.

    python -m aisio.integrations.oss.tar_archive --endpoint oss-cn-hangzhou.aliyuncs.com \
        --cred-path credentials.json --source-path photos \
        --tar-path oss://bucket/photos.tar --index-path oss://bucket/photos.idx

has the options of the connector's tools/generate_tar_archive.py.
"""

from __future__ import annotations

import os
from typing import Any

import click

from aisio.errors import AisioError, ConfigError
from aisio.integrations.oss.connection import OssConnection
from aisio.integrations.oss.uris import object_url, required
from aisio.shards.tar_packing import index_tar, pack_tar

__all__ = ["generate_tar_archive"]

_OWNER = "generate_tar_archive"


def generate_tar_archive(
    endpoint: str,
    cred_path: str,
    config_path: str,
    tar_path: str,
    index_path: str,
    source_path: str,
    index_only: bool = False,
    cred_provider: Any = None,
    region: str = "",
) -> int:
    """Pack a folder, or all objects below a prefix, into a tar, and write its index.

    See `aisio.pack_tar` and `aisio.index_tar`. A tar or an index that exists is replaced. There are
    nine arguments, as the connector has them.

    Args:
        endpoint: The bucket's endpoint, a URL or a host.
        cred_path: JSON file with the keys; or pass `cred_provider`.
        config_path: The configuration file; "" for the default one.
        tar_path: The tar: an oss:// URI, or the path of a local file.
        index_path: Its index, likewise.
        source_path: The folder or prefix to pack; of no meaning with `index_only`.
        index_only: Write the index of a tar that exists.
        cred_provider: An object whose `get_credentials()` returns the keys.
        region: The bucket's region, where the endpoint does not tell it.

    Returns:
        0.

    Raises:
        ConfigError: An argument is missing or not valid; or as for `aisio.pack_tar`.
        NotFoundError: There is nothing to pack, or no such tar.
        ShardError: The tar that is to be indexed is compressed, cut, damaged, or none.
    """
    required(_OWNER, "endpoint", endpoint)
    if not cred_path and not cred_provider:
        raise ConfigError(f"<{_OWNER}> neither cred_path nor cred_provider is specified")
    tar, index = (_place("tar_path", tar_path), _place("index_path", index_path))
    source = "" if index_only else _place("source_path", source_path)
    connection = OssConnection.of(
        _OWNER,
        endpoint,
        cred_path=cred_path,
        cred_provider=cred_provider,
        config_path=config_path,
        region=region,
    )
    if index_only:
        index_tar(tar, index, overwrite=True, direct=connection.direct)
    else:
        pack_tar(source, tar, index, overwrite=True, direct=connection.direct)
    return 0


def _place(name: str, path: str) -> str:
    """Return an oss:// URI, or the path of a local file, as `aisio.pack_tar` takes it."""
    required(_OWNER, name, path)
    text = os.fspath(path)
    return object_url(_OWNER, name, text, is_local=False) if "://" in text else text


@click.command()
@click.option("-ep", "--endpoint", required=True, help="The bucket's endpoint.")
@click.option("--cred-path", required=True, help="JSON file with the keys.")
@click.option("--config-path", default="", help="The configuration file.")
@click.option("--region", default="", help="The bucket's region.")
@click.option("--tar-path", required=True, help="The tar: an oss:// URI, or a local file.")
@click.option("--index-path", required=True, help="Its index, likewise.")
@click.option("--source-path", default="", help="The folder or prefix to pack.")
@click.option("--index-only", is_flag=True, help="Write the index of a tar that exists.")
def _command(**arguments: Any) -> None:
    """Pack a folder, or all objects below a prefix, into one tar, and write its index."""
    try:
        generate_tar_archive(**arguments)
    except AisioError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    _command()
