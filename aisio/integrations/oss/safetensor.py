"""OssSafetensor: aisio's safetensors functions by the connector's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aisio.checkpoint.safetensors.loading import load_file
from aisio.checkpoint.safetensors.safe_open import safe_open
from aisio.checkpoint.safetensors.saving import save_file
from aisio.integrations.oss.connection import OssConnected
from aisio.integrations.oss.uris import object_url

if TYPE_CHECKING:
    import torch

__all__ = ["OssSafetensor"]

_OWNER = "OssSafetensor"


class OssSafetensor(OssConnected):
    """Loads and saves safetensors files on OSS, as `safetensors` does with local ones.

    Its arguments are those of `OssConnected`: endpoint, keys, configuration file and region.
    """

    def safe_open(self, oss_uri: str, device: str | int | torch.device = "cpu") -> safe_open:
        """Open a file whose tensors are read one by one; see `aisio.checkpoint.safetensors`.

        Args:
            oss_uri: The object, as in "oss://bucket/key" or "/bucket/key".
            device: Where the tensors are to be.

        Raises:
            UrlError: It is no URI of an object.
            NotFoundError: No such object.
            CheckpointError: It is no sound safetensors file.
        """
        said = self._connection.config.checkpoint_config
        return safe_open(
            _url(oss_uri),
            device=device,
            direct=self._connection.settings(said.timeout_ms),
            concurrency=said.prefetch_concurrency,
        )

    def load_file(
        self, oss_uri: str, device: str | int | torch.device = "cpu"
    ) -> dict[str, torch.Tensor]:
        """Load all tensors of a file; arguments and errors as for `safe_open`."""
        said = self._connection.config.checkpoint_config
        return load_file(
            _url(oss_uri),
            device,
            direct=self._connection.settings(said.timeout_ms),
            concurrency=said.prefetch_concurrency,
        )

    def save_file(
        self,
        tensors: Mapping[str, torch.Tensor],
        oss_uri: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Save tensors to a file, which appears whole; until then the old one stays.

        Args:
            tensors: The tensors by name: contiguous, dense, each with memory of its own.
            oss_uri: The object.
            metadata: Texts to be kept in the file.

        Raises:
            ConfigError: A tensor, a name or the metadata cannot be saved; the text says why.
            UrlError: It is no URI of an object.
        """
        save_file(tensors, _url(oss_uri), metadata, **self._connection.write_options())


def _url(oss_uri: str) -> str:
    return object_url(_OWNER, "oss_uri", oss_uri, is_local=False)
