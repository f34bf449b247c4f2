"""Orders of any small data set, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from aisio.training.order.epoch_line import EpochLine

LINES = st.builds(
    EpochLine,
    samples=st.integers(0, 300),
    pack=st.integers(1, 20),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
)
