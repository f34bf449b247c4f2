"""DataShard: the shards of one stream of an AISMultiShardStream.

Name and arguments are those of the official `aistore` package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Bucket, Client
from aisio.client.shared_clients import explicit_client
from aisio.escapes import visible
from aisio.redaction import redacted
from aisio.sources.base import Source
from aisio.sources.kinds import PrefixSource
from aisio.sources.resolve import SourceLike, source
from aisio.stores import AisStore, DirectSettings
from aisio.summary import Summarized

__all__ = ["DataShard"]


class DataShard(Summarized):
    """Shards whose members, one after the other, are a stream.

    Args:
        client_url: The cluster's URL.
        bucket_name: Name of the bucket that has the shards.
        provider: Where the bucket is: "ais", "s3", "gs", "az".
        prefix: What the names of the shards begin with.
        etl_name: Have the cluster transform each shard by this ETL.

    Attributes:
        source: The shards.
        etl_name: The ETL; None for none.

    Raises:
        ConfigError: An argument is not valid.
    """

    def __init__(
        self,
        client_url: str,
        bucket_name: str,
        provider: str = "ais",
        prefix: str = "",
        etl_name: str | None = None,
    ) -> None:
        kind = getattr(provider, "value", provider)  # the official package has an Enum of them
        bucket = Client(client_url).bucket(bucket_name, provider=kind)
        self.source = _shards_in(bucket, prefix)
        self.etl_name = etl_name or None

    @classmethod
    def from_url(
        cls,
        url: SourceLike,
        *,
        etl_name: str | None = None,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
    ) -> DataShard:
        """Return the shards that a URL, or anything else that `aisio.source` understands, names.

        Args:
            url: The URL of a prefix, shard or pattern, a list of URLs of shards, a folder, a
                bucket, an object group, or a name in a catalog.
            etl_name: Have the cluster transform each shard by this ETL.
            client: The cluster; by default one made from `endpoint`.
            endpoint: The cluster's URL; by default AIS_ENDPOINT.
            direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.

        Raises:
            UrlError: A URL is not valid.
            ConfigError: It is no source, or a cluster is needed and not known.
        """
        own = source(url, client=explicit_client(client, endpoint), direct=direct)
        return cls._of_source(own, etl_name)

    @classmethod
    def of(cls, what: Any) -> DataShard:
        """Return what stands for a stream as one of aisio's: also one of the official package."""
        if isinstance(what, DataShard):
            return what
        if hasattr(what, "client_url") and hasattr(what, "bucket"):
            bucket = adapt_sdk_object(what.bucket)
            return cls._of_source(_shards_in(bucket, what.prefix), what.etl_name)
        return cls.from_url(what)

    @classmethod
    def _of_source(cls, own: Source, etl_name: str | None) -> DataShard:
        shard = cls.__new__(cls)
        shard.source, shard.etl_name = own, etl_name or None
        return shard

    def __repr__(self) -> str:
        etl = f", etl_name={self.etl_name!r}" if self.etl_name else ""
        return f"DataShard({self.source!r}{etl})"

    def _summary(self) -> Mapping[str, object]:
        return {"shards": self, **({"ETL": self.etl_name} if self.etl_name else {})}

    def __str__(self) -> str:
        """Return what names the shards in errors."""
        return visible(redacted(str(getattr(self.source, "url", self.source))))


def _shards_in(bucket: Bucket, prefix: str) -> Source:
    """Return the objects of a bucket below a prefix, in which no character is a pattern."""
    return PrefixSource(AisStore(bucket.client), bucket.url.with_name(prefix or ""))
