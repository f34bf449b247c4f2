"""fsspec reads and writes by aisio: what takes a path by fsspec takes `ais://`.

    import pandas
    pandas.read_csv("ais://bucket/table.csv")

fsspec finds the file system of `ais://` by aisio's entry point. `register` replaces those of other
schemes in this process.
"""

from aisio.extras import missing_extra

try:
    import fsspec  # noqa: F401 - the modules below need it
except ImportError as error:
    raise missing_extra("fsspec", "fsspec") from error

from aisio.integrations.fsspec.filesystem import AisFileSystem
from aisio.integrations.fsspec.other_schemes import (
    AzureFileSystem,
    GoogleFileSystem,
    S3FileSystem,
    register,
)

__all__ = [
    "AisFileSystem",
    "AzureFileSystem",
    "GoogleFileSystem",
    "S3FileSystem",
    "register",
]


def __dir__() -> list[str]:
    return sorted(__all__)
