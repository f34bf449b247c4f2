"""The comparison with other libraries: its jobs, verdicts and tables, and what it needs."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
import torch  # noqa: F401 - with this line the file is collected only where torch is installed


@pytest.fixture
def peers(root, monkeypatch):
    """Return the program's module; its folder is no package."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module("training_peers")


@pytest.fixture
def jobs(peers):
    """Return the module of what a measuring process does."""
    return importlib.import_module("training_job")


@pytest.fixture
def shards(peers, tmp_path, monkeypatch):
    """Return the folder of two shards of five samples."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "tars"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number:06d}.tar").write_bytes(peers.make_shard(bytes(200_000), 5, number))
    return folder


def test_missing_peers_are_named_with_what_installs_them(peers, tmp_path, capsys):
    """Nothing is measured then."""
    assert peers.main(["--peers", str(tmp_path / "peers" / "bin" / "python")]) == 2
    text = capsys.readouterr().out
    assert f"-m venv {tmp_path}/peers" in text
    assert "bin/pip install mosaicml-streaming==0.13.0 litdata==0.2.76" in text


def test_a_job_reads_all_samples(jobs, shards):
    """Each once, with their bytes."""
    result = jobs.run(jobs.Job("aisio", tars=str(shards), batch=3, with_keys=True))
    assert (result["samples"], result["batches"]) == (10, 4)
    assert result["bytes"] == 10 * (70_000 + 4 + 14)
    assert sorted(result["keys"]) == sorted(one["key"] for one in jobs.samples_of(str(shards)))


def test_a_job_stops_and_another_goes_on(peers, jobs, shards, tmp_path):
    """What comes in both is each sample once."""
    job = jobs.Job("aisio", tars=str(shards), batch=3, with_keys=True)
    jobs.run(replace(job, write=True))
    state = str(tmp_path / "state.json")
    first = jobs.run(replace(job, stop=2, save=state))
    rest = jobs.run(replace(job, batch=2, load=state))
    assert (first["samples"], rest["samples"]) == (6, 4)
    assert peers.verdict([*first["keys"], *rest["keys"]], 10) == "exact"


def test_what_is_lost_or_comes_again_is_counted(peers):
    """Both, whichever samples they are."""
    assert peers.verdict(["a", "b", "b", "b"], 3) == "1 missing, 2 twice"


def test_the_best_of_each_column_stands_out(peers):
    """The highest rate and the shortest time; what a reader cannot do is left out."""
    figures = {
        "ours": {"rate_0": [10, 30, 20], "first_s": [0.5]},
        "theirs": {"rate_0": [19], "first_s": [0.4], "prepare_s": [1]},
    }
    _, _, ours, theirs = peers.speed_lines(figures)
    assert ours == "| ours | **20** | - | - | - | 500 | - | - |"
    assert theirs == "| theirs | 19 | - | - | - | **400** | - | **1.0** |"


def test_verdicts_are_rows_of_changes(peers):
    """One column for each reader."""
    ((first, changes), *_) = peers.CHANGES.items()
    before, after = str(first), str(changes[1])
    lines = peers.exactness_lines({(before, after): {"aisio": "exact", "other": "1 missing"}})
    assert list(lines)[2] == "| 1 x 2, 8 | 1 x 3, 8 | exact | 1 missing |"
