"""LeastRate: what a line must give while it is waited for."""

from __future__ import annotations

from aisio.records import Timeouts
from aisio.transport.low_speed import LowSpeedLimit


def test_a_window_with_too_few_bytes_is_missed_once() -> None:
    """It is judged when it is over; the next one begins anew."""
    rate = LowSpeedLimit(100, 10)
    rate.add(500, 9.9)
    assert not rate.is_missed()
    rate.add(499, 0.1)
    assert rate.is_missed()
    assert not rate.is_missed()


def test_a_window_with_enough_bytes_passes() -> None:
    """However they are spread over it; what was too much does not help the next."""
    rate = LowSpeedLimit(100, 10)
    rate.add(1_000_000, 0.001)
    rate.add(1, 11.0)
    assert not rate.is_missed()
    rate.add(1, 11.0)
    assert rate.is_missed()


def test_a_new_connection_has_a_whole_window() -> None:
    """Whatever the one before was like."""
    rate = LowSpeedLimit(100, 10)
    rate.add(0, 9.0)
    rate.begin_connection()
    rate.add(0, 9.0)
    assert not rate.is_missed()


def test_what_a_server_thinks_before_its_first_byte_is_no_slowness() -> None:
    """Of the first read of a reply; what goes beyond it counts, and so does every later read."""
    rate = LowSpeedLimit(100, 10, first_s=30)
    rate.add(1, 30.0)
    assert not rate.is_missed()
    rate.add(999, 10.0)
    assert not rate.is_missed()
    rate.add(999, 10.0)
    assert rate.is_missed()
    rate.begin_connection()
    rate.add(1, 39.0)
    assert not rate.is_missed()
    rate.add(1, 1.0)
    assert rate.is_missed()


def test_who_waits_for_ever_lets_a_server_think_for_ever() -> None:
    """read_s=None; the read timeout is what bounds the first byte."""
    rate = LowSpeedLimit.of(Timeouts(read_s=None, slow_s=1))
    assert rate is not None
    rate.add(1, 1000.0)
    assert not rate.is_missed()
    rate.add(1, 1.0)
    assert rate.is_missed()


def test_settings_choose_the_rate_or_none() -> None:
    """The default is 1 KiB/s over 20 s."""
    assert LowSpeedLimit.of(Timeouts(least_bytes_per_s=None)) is None
    assert str(LowSpeedLimit.of(Timeouts())) == "1,024 bytes/s over 20 s"
    assert (
        str(LowSpeedLimit.of(Timeouts(least_bytes_per_s=5, slow_s=0.5))) == "5 bytes/s over 0.5 s"
    )
