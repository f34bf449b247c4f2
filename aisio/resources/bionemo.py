"""The names of `bionemo.core.data.load` and `.resource`, and the command `download_bionemo_data`.

Change the import, and the rest of a program stays. What differs, and why, is in docs/bionemo.md.

Source:
    bionemo-core 2.4.5: names, messages, flags and output.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TextIO

from aisio.catalog import Resource, default_catalog, read_catalog
from aisio.config import first_set
from aisio.errors import AisioError, ConfigError
from aisio.resources import loading
from aisio.resources.cache.cache import default_cache_folder
from aisio.resources.origins.store import pbss_endpoint

__all__ = [
    "BIONEMO_CACHE_DIR",
    "DEFAULT_SOURCE",
    "NGCDownloader",
    "Resource",
    "default_ngc_client",
    "default_pbss_client",
    "entrypoint",
    "get_all_resources",
    "load",
    "main",
    "print_resources",
]

_log = logging.getLogger(__name__)

BIONEMO_CACHE_DIR: Path
DEFAULT_SOURCE: str


def __getattr__(name: str) -> Any:
    """Return what upstream reads from the environment once at import; read at each access here."""
    if name == "BIONEMO_CACHE_DIR":
        return default_cache_folder()
    if name == "DEFAULT_SOURCE":
        return first_set("BIONEMO_DATA_SOURCE") or loading.DEFAULT_REGISTRY
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(
    model_or_data_tag: str,
    source: str | None = None,
    resources: Mapping[str, Any] | None = None,
    cache_dir: Path | str | None = None,
) -> Path:
    """Return the file or folder of a resource; see `aisio.load`, which this is."""
    return loading.load(model_or_data_tag, source, resources, cache_dir)


def get_all_resources(resource_path: Path | str | None = None) -> dict[str, Resource]:
    """Return the resources of a folder, or of the default catalog, by their tags.

    Raises:
        CatalogError: A ValueError: files are wrong; the text has all that is.
    """
    if resource_path:
        return read_catalog(Path(resource_path)).resources
    return default_catalog().resources


@dataclass
class NGCDownloader:
    """Downloads one file of a target in NVIDIA's registry; a downloader for pooch.

    Attributes:
        filename: Which file of the target.
        ngc_registry: Kind of the target.
    """

    filename: str
    ngc_registry: Literal["model", "resource"]

    def __call__(self, url: str, output_file: Path | str, _pooch: Any = None) -> None:
        """Write the file of the target `[org/[team/]]name[:version]` to `output_file`.

        Raises:
            StorageError: It cannot be downloaded; the class says why.
        """
        from aisio.resources.download.download import download
        from aisio.resources.origins.ngc.origin import NgcOrigin

        target = Path(output_file)
        target.parent.mkdir(parents=True, exist_ok=True)
        download([NgcOrigin(url, self.ngc_registry, self.filename)], target, digest=None)


def default_ngc_client(use_guest_if_api_key_invalid: bool = True) -> Any:
    """Return a configured `ngcsdk.Client`; aisio itself needs none.

    Args:
        use_guest_if_api_key_invalid: Continue as a guest if the key is refused.

    Raises:
        ImportError: ngcsdk is not installed.
        ConfigError: A ValueError: the key is refused, and a guest is not wanted.
    """
    ngcsdk = import_module("ngcsdk")
    refused = import_module("ngcbase.errors").AuthenticationException
    client = ngcsdk.Client()
    try:
        client.configure()
    except (ValueError, refused) as error:
        if not use_guest_if_api_key_invalid:
            raise ConfigError(f"NVIDIA's registry refuses the key: {error}") from error
        _log.error("NVIDIA's registry refuses the key: %s; continuing as a guest", error)
        client = ngcsdk.Client("no-apikey")
        # Not by configure(): without a key it reads NGC_CLI_ORG and then refuses it (4.37.0).
        client.config.app_key = "no-apikey"
        client.config.org_name = "no-org"
        client.config.team_name = "no-team"
        client.config.format_type = "json"
    return client


def default_pbss_client() -> Any:
    """Return boto3's S3 client of PBSS; aisio itself needs none.

    Raises:
        ImportError: boto3 is not installed.
    """
    config = import_module("botocore.config").Config(
        retries={"max_attempts": 10, "mode": "standard"}
    )
    return import_module("boto3").client("s3", endpoint_url=pbss_endpoint(), config=config)


def print_resources(*, output_source: TextIO | None = None) -> None:
    """Write a table of all resources and their sources.

    Args:
        output_source: Where to write; without it sys.stdout.
    """
    print("#resource_name\tsource_options", file=output_source)
    for tag, origins in resource_origins():
        print(tag, ",".join(origins), sep="\t", file=output_source)


def resource_origins() -> Iterator[tuple[str, list[str]]]:
    """Yield the tag of each resource, sorted, and which of ngc, pbss and url it has."""
    for tag, resource in sorted(get_all_resources().items()):
        has = {"ngc": resource.ngc, "pbss": resource.pbss, "url": resource.urls}
        yield tag, [name for name in has if has[name]]


def main(
    download_all: bool,
    list_resources: bool,
    artifact_name: str | None,
    source: str | None = None,
) -> str | None:
    """Run the command with its flags of these names; return what is wrong with them, if anything.

    Raises:
        AisioError: A resource cannot be downloaded.
    """
    if download_all:
        _download_all(source)
    elif list_resources:
        print_resources()
    elif artifact_name:
        print(_load_without_output(artifact_name, source).absolute())
    else:
        return "You must provide an artifact name if --list-resources or --all is not set!"
    return None


def _download_all(source: str | None) -> None:
    print("Downloading all resources:", file=sys.stderr)
    print_resources(output_source=sys.stderr)
    print("-" * 80, file=sys.stderr)
    paths = {tag: _load_without_output(tag, source) for tag in sorted(get_all_resources())}
    print("-" * 80, file=sys.stderr)
    print("All resources downloaded:", file=sys.stderr)
    for tag, path in paths.items():
        print(f"  {tag}: {path.absolute()}", file=sys.stderr)


def _load_without_output(tag: str, source: str | None) -> Path:
    """Load a resource with nothing on stdout.

    As upstream's, the command does not read BIONEMO_DATA_SOURCE: without --source it means ngc,
    except for an entry that names its own places.
    """
    resource = get_all_resources().get(tag)
    has_own_places = resource is not None and resource.urls
    with redirect_stdout(sys.stderr):
        return load(tag, source or (None if has_own_places else loading.DEFAULT_REGISTRY))


def entrypoint() -> None:
    """Run the command `download_bionemo_data`."""
    parser = _parser()
    flags = parser.parse_args()
    if flags.list_resources and flags.artifact_name is not None:
        parser.error("argument --list-resources: not allowed with argument artifact_name")
    try:
        problem = main(flags.all, flags.list_resources, flags.artifact_name, flags.source)
    except (AisioError, OSError) as error:
        parser.exit(1, f"{parser.prog}: error: {error}\n")
    if problem is not None:
        parser.error(problem)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="download_bionemo_data",
        description="Print the local path of a resource, downloaded if need be; or list them.",
    )
    parser.add_argument("artifact_name", nargs="?", help="the resource's tag")
    parser.add_argument(
        "--list-resources", action="store_true", help="list all resources and their sources"
    )
    parser.add_argument(
        "--source",
        choices=["pbss", "ngc"],
        help="where from: NVIDIA's registry (ngc, the default), or the S3 store that "
        "AISIO_PBSS_ENDPOINT names (pbss)",
    )
    parser.add_argument("--all", action="store_true", help="download all, whatever else is said")
    return parser


if __name__ == "__main__":
    entrypoint()
