"""webdataset reads by aisio: importing this package teaches it to.

    import webdataset as wds
    import aisio.integrations.webdataset

    dataset = wds.WebDataset("ais://imagenet/shards/train-{000000..000003}.tar", shardshuffle=100)

See `aisio.integrations.webdataset.registration` for what is changed in webdataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.integrations.webdataset.opener import ObjectStream, open_url
from aisio.integrations.webdataset.registration import register
from aisio.integrations.webdataset.shard_urls import shard_urls
from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.integrations.webdataset.loader_pipeline import LoaderPipeline, to_wds
    from aisio.integrations.webdataset.sample_dataset import WebDatasetSamples, samples

__all__ = [
    "LoaderPipeline",
    "ObjectStream",
    "WebDatasetSamples",
    "open_url",
    "samples",
    "shard_urls",
    "to_wds",
]

# Those that need torch, which webdataset itself does without.
__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.integrations.webdataset.loader_pipeline": ("LoaderPipeline", "to_wds"),
        "aisio.integrations.webdataset.sample_dataset": ("WebDatasetSamples", "samples"),
    },
)

register()
