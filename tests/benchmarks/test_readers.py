"""The benchmark's own readers: all of them read all of the corpus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401 - with this line the file is collected only where torch is installed

import aisio
from aisio.gateway import Gateway

READ_ALL = """
import json, multiprocessing, sys
from aisio import MissingExtraError
from cases import WORKS, check
from corpus import Corpus, is_stored, store
from measuring import measure

# Workers come from a fork server as of Python 3.14; each would import torch by itself.
multiprocessing.set_forkserver_preload(["torch.utils.data"])
few = dict(many=4, pictures=4, photos=4, packed=20, epochs=5, folder=sys.argv[2])
corpus = Corpus(sys.argv[1], "bench", 6, 5, 3, 2, 3, 300_000, **few)
kinds = {work.objects for work in WORKS.values() if work.objects}
assert not any(is_stored(corpus, kind) for kind in kinds)
store(corpus, kinds)
assert all(is_stored(corpus, kind) for kind in kinds)
found = {}
for key, work in WORKS.items():
    for name, reader in work.readers.items():
        if name.startswith(("aisio", "by hand", "alone", "torch")):
            try:
                found[f"{key}/{name}"] = figures = measure(reader, corpus)
            except MissingExtraError:  # there is no obstore for Python 3.10
                assert sys.version_info < (3, 11)
                continue
            check(key, corpus, figures["bytes"])
print(json.dumps(found))
"""


@pytest.mark.timeout(900)
def test_readers_deliver_what_is_stored(root, tmp_path, monkeypatch):
    """Ours and those by hand; each has its figures."""
    monkeypatch.setenv("PYTHONPATH", str(Path(aisio.__file__).parents[1]))
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "server").mkdir()
    with Gateway(tmp_path / "server") as gateway:
        # From the start: all readers share a fork server, which keeps the environment it began in.
        monkeypatch.setenv("AIS_ENDPOINT", gateway.endpoint)
        done = subprocess.run(
            [sys.executable, "-c", READ_ALL, gateway.endpoint, str(tmp_path / "server")],
            cwd=root / "benchmarks",
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["shards/aisio AISShardReader"]["items"] == 6
    assert all(0 < one["first_s"] <= one["wall_s"] for one in found.values())
    assert all(one["peak_bytes"] > 1_000_000 for one in found.values())
    assert found["train/first batch/aisio Loader, resumed at 50 %"]["items"] == 28
    assert found["train/2 workers, arrays/torch DataLoader of AISShardReader"]["items"] == 8
