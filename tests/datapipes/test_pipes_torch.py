"""The datapipes among torch's own, and without them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
import torch  # noqa: F401 - this file is for environments that have it
from torch.utils.data import DataLoader
from torch.utils.data.datapipes.iter import IterableWrapper

import aisio.datapipes  # noqa: F401 - registers the functional names

NAMES = [f"obj{number:02d}" for number in range(20)]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with twenty files, as the URL of a prefix."""
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    return f"file://{tmp_path}/"


def read(pair):
    """Return the name and the bytes of a loaded object."""
    url, stream = pair
    return url.rpartition("/")[2], stream.read()


def test_the_readme_chain(folder):
    """Used as IterableWrapper(prefixes).ais_list_files(url=...), chained with .ais_load_files()."""
    endpoint = "http://127.0.0.1:9"
    pipe = IterableWrapper([folder]).ais_list_files(url=endpoint).ais_load_files(url=endpoint)
    assert [read(pair) for pair in pipe] == [(name, name.encode()) for name in NAMES]


@pytest.mark.parametrize("older", [False, True])
def test_both_families_of_names(folder, older):
    """The names of torchdata's own pipes work as well."""
    pipe = IterableWrapper([folder])
    pipe = (
        pipe.list_files_by_ais().load_files_by_ais()
        if older
        else pipe.ais_list_files().ais_load_files()
    )
    assert len(list(pipe)) == 20


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(
    ("workers", "context"), [(0, None), (1, "forkserver"), (2, "fork"), (3, "fork")]
)
def test_they_compose_with_torchs_own(folder, workers, context):
    """shuffle, sharding_filter, map and batch, in workers of each kind: every object once."""
    pipe = (
        IterableWrapper([folder])
        .ais_list_files()
        .shuffle()
        .sharding_filter()
        .ais_load_files()
        .map(read)
        .batch(3)
    )
    loader = DataLoader(pipe, batch_size=None, num_workers=workers, multiprocessing_context=context)
    assert Counter(name for batch in loader for name, _ in batch) == Counter(NAMES)


@pytest.mark.parametrize("context", ["forkserver", "fork"])
def test_a_worker_that_sends_a_stream_is_an_error(folder, context):
    """The loader raises it; it would wait for ever for a batch that no queue can carry."""
    pipe = IterableWrapper([folder]).ais_list_files().ais_load_files()
    loader = DataLoader(
        pipe, batch_size=None, num_workers=1, multiprocessing_context=context, timeout=120
    )
    with pytest.raises(TypeError, match=r"read\(\) it in the worker"):
        next(iter(loader))


_WITHOUT_DATAPIPES = """
import sys
import torch.utils.data
for name in [n for n in sys.modules if n.startswith("torch.utils.data.datapipes")]:
    sys.modules[name] = None
from aisio.datapipes import AISFileLister
from aisio.datapipes import torch_compat as datapipe_base
assert datapipe_base.IterDataPipe.__module__ == "aisio.datapipes.torch_compat"
assert issubclass(AISFileLister, torch.utils.data.IterableDataset)
loader = torch.utils.data.DataLoader(
    AISFileLister([sys.argv[1]]), batch_size=None, num_workers=1, multiprocessing_context="fork"
)
print(len(list(loader)), len([s.read() for _, s in AISFileLister([sys.argv[1]]).ais_load_files()]))
"""


def test_they_work_where_torch_has_dropped_datapipes(folder):
    """The stand-in is a torch dataset, so that a DataLoader still takes it."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_DATAPIPES, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("20 20", 0), done.stderr
