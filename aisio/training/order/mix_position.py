"""MixPosition: where a training job stands in a mix of sources, whose weights may change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from aisio.errors import ConfigError
from aisio.training.order.cut import Cut, Topology
from aisio.training.order.epoch_line import Line
from aisio.training.order.mix_line import MixLine, MixRule, OnEnd
from aisio.training.order.position import Position, Segment
from aisio.training.order.round_cut import RoundCut

__all__ = ["MixPosition", "MixTopology"]


@dataclass(frozen=True)
class MixTopology(Topology):
    """How many processes share the samples of a mix, and by which weights.

    Attributes:
        weights: Weight of each source, from 0, and one of them above.
        on_end: What happens where a source has no more samples.

    Raises:
        ConfigError: See `Topology`; or "shrink" is asked for, or a weight cannot be meant.
    """

    weights: Sequence[float] = ()
    on_end: OnEnd = "stop"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.equalize == "shrink":
            raise ConfigError('a mix takes equalize="drop", "pad" or "none", not "shrink"')
        if self.on_end not in get_args(OnEnd):
            raise ConfigError(f'on_end={self.on_end!r}: "stop", "repeat" or "drop" is needed')
        weights = [weight for weight in self.weights if _is_weight(weight)]
        if len(weights) < len(self.weights) or not any(weights):
            raise ConfigError(
                f"weights={list(self.weights)!r:.200}: finite numbers from 0 on are needed, and one"
                " above 0"
            )
        object.__setattr__(self, "weights", tuple(map(float, weights)))

    @property
    def rule(self) -> MixRule:
        """How the sources are mixed."""
        return MixRule(tuple(self.weights), self.on_end)


@dataclass(frozen=True)
class MixPosition(Position):
    """Where a job stands in a mix.

    Ranks read the line of the epoch in rounds, see `RoundCut`. So what was delivered is always its
    beginning, and other ranks or batches go on in the same order. Other weights mix what each
    source has left.

    Attributes:
        sizes: Number of samples of each source.
    """

    sizes: tuple[int, ...] = ()

    def _topology(self, values: list[Any]) -> Topology:
        topology = MixTopology(*values)
        if len(topology.weights) != len(self.sizes):
            raise ValueError(f"{len(topology.weights)} weights of {len(self.sizes)} sources")
        return topology

    def _cuts(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, Cut]]:
        key = (self.seed, self.epoch) if self.shuffle else None
        mixed: MixLine | None = None
        rule = MixRule((), "stop")
        line: Line
        drawn: tuple[int, ...] = (0,) * len(self.sizes)
        position = 0
        for segment in segments:
            topology = segment.topology
            assert isinstance(topology, MixTopology)
            if mixed is None or topology.rule != rule:
                rule = topology.rule
                mixed = MixLine(self.sizes, rule, drawn, key, self.pack)
                position, line = 0, mixed
            cut = RoundCut(line, topology)
            yield segment, cut
            line = cut.rest(segment.batches)
            position += cut.delivered(segment.batches)
            drawn = mixed.drawn(position)


def _is_weight(value: Any) -> bool:
    try:
        return not isinstance(value, (bool, str)) and 0 <= float(value) < float("inf")
    except (TypeError, ValueError, OverflowError):
        return False
