"""What datapipes can do where torch has no method for it; and all of it without torch's."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from typing import Any

import pytest

import aisio.datapipes  # noqa: F401 - registers the names
from aisio.datapipes import words
from aisio.datapipes.torch_compat import IterDataPipe
from aisio.errors import ConfigError

SAMPLES = [(f"{number}", {"cls": b"%d" % number, "png": b"image"}) for number in range(10)]


def pipe(name: str, source: Any, *arguments: Any, **options: Any) -> Any:
    """Return a datapipe by its functional name."""
    return IterDataPipe.functions[name](source, *arguments, **options)


def test_fields_of_samples() -> None:
    """By webdataset's words; they chain."""
    samples = pipe("rename", SAMPLES, label="cls").map_dict(label=int).to_tuple("label", "jpg;png")
    assert list(samples.map_tuple(str, len)) == [(str(number), 5) for number in range(10)]
    with pytest.raises(ConfigError, match="a function is needed"):
        samples.map_tuple(3)


def test_positions() -> None:
    """As itertools.islice has them, of the process that reads."""
    numbers = pipe("skip", range(10), 2)
    assert list(numbers.slice(0, 8, 3)) == [2, 5, 8]
    assert list(numbers.take(2).repeat(3)) == [2, 3] * 3
    assert list(pickle.loads(pickle.dumps(numbers.take(2)))) == [2, 3]


def test_what_torch_has_stays_torchs() -> None:
    """Where it has it."""
    for name in ("map", "filter", "shuffle", "batch"):
        owner = str(IterDataPipe.functions[name].__module__)
        assert owner.partition(".")[0] == ("torch" if "torch" in sys.modules else "aisio")


def test_those_in_torchs_place() -> None:
    """The same words, for a torch without datapipes."""
    assert list(words.Mapper(range(3), str)) == ["0", "1", "2"]
    assert list(words.Filterer(range(4), bool)) == [1, 2, 3]
    assert list(words.Batcher(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(words.Batcher(range(5), 2, True)) == [[0, 1], [2, 3]]
    shuffled = words.Shuffler(range(20), 5)
    random.seed(3)
    orders = [list(shuffled) for _ in range(2)]
    random.seed(3)
    assert list(shuffled) == orders[0] != orders[1]
    assert sorted(orders[0]) == list(range(20))
    with pytest.raises(ConfigError, match="buffer_size=0"):
        words.Shuffler(range(20), 0)


WITHOUT = """
import sys
import torch.utils.data
for name in [n for n in sys.modules if n.startswith("torch.utils.data.datapipes")]:
    sys.modules[name] = None
import aisio.datapipes
from aisio.datapipes import AISFileLister
print(list(AISFileLister([sys.argv[1]]).map(len).filter(bool).shuffle(9).batch(1).take(1)) != [])
"""


def test_they_chain_where_torch_has_dropped_datapipes(tmp_path: Any) -> None:
    """The listers have them as methods."""
    pytest.importorskip("torch")
    (tmp_path / "one").write_bytes(b"1")
    command = [sys.executable, "-c", WITHOUT, f"file://{tmp_path}/"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True\n"
