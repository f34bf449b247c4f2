"""Where a training job stands: which batches of an epoch its trainers have received.

An epoch is a chain of segments. A segment is a stretch of the epoch under one topology, and says
how many batches each rank received. All else is arithmetic (`aisio.training.order.cut`): what a
segment left is the line that the next one cuts. So the state is a few numbers, is the same on every
rank, and a job of any size can go on from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

from aisio.errors import ConfigError
from aisio.training.order.cut import Cut, Topology
from aisio.training.order.epoch_line import EpochLine, Line
from aisio.training.whole_number import whole_number

__all__ = ["Position", "Segment"]

_VERSION = 1

_OTHERS = {
    "pack": "another loader",
    "skip": "a Loader with another skip=, which must stay the same within an epoch",
}
"""What a state is of that differs in a value; where it is none of these, it is of other data."""


@dataclass(frozen=True)
class Segment:
    """A stretch of an epoch under one topology.

    Attributes:
        topology: How the samples were shared out.
        batches: How many batches each rank received.
    """

    topology: Topology
    batches: int


@dataclass(frozen=True)
class Position:
    """Where a job stands in its data.

    Attributes:
        samples: Number of samples of the data.
        seed: Chooses the orders of all epochs.
        shuffle: Whether the samples are shuffled.
        pack: How many neighbouring samples stay together in the order, to be read together.
        epoch: Number of the epoch.
        segments: The segments of the epoch so far; where a job has received nothing, none.
    """

    samples: int
    seed: int
    shuffle: bool = True
    pack: int = 1
    epoch: int = 0
    segments: tuple[Segment, ...] = field(default=())

    def cut(self, topology: Topology) -> tuple[Cut, int]:
        """Share out what is left of the epoch.

        Args:
            topology: Among whom. If it is that of the last segment, that segment goes on, in the
                order that it would have had without the stop.

        Returns:
            How the samples are shared out, and how many batches of each rank have been received.
        """
        start, received = self.start_of(topology)
        *_, (_, cut) = self._cuts((*start.segments, Segment(topology, 0)))
        return cut, received

    def start_of(self, topology: Topology) -> tuple[Position, int]:
        """Return where the segment of a topology begins, and how many batches were received.

        That is here, with none, unless it is the topology of the last segment, which goes on.
        """
        if self.segments and self.segments[-1].topology == topology:
            return replace(self, segments=self.segments[:-1]), self.segments[-1].batches
        return self, 0

    def received(self, topology: Topology, batches: int) -> Position:
        """Return the position after each rank has received some batches of a cut, in all."""
        start, _ = self.start_of(topology)
        segments = (Segment(topology, batches),) if batches else ()
        return replace(self, segments=(*start.segments, *segments))

    def at_epoch(self, epoch: int) -> Position:
        """Return the beginning of an epoch."""
        return replace(self, epoch=epoch, segments=())

    def _topology(self, values: list[Any]) -> Topology:
        """Return the topology that these values of a state are of."""
        return Topology(*values)

    def _cuts(self, segments: Iterable[Segment]) -> Iterator[tuple[Segment, Cut]]:
        """Yield how each segment of the epoch shared out what those before it left."""
        line: Line = EpochLine(self.samples, self.pack, self.seed, self.epoch, shuffle=self.shuffle)
        for number, segment in enumerate(segments):
            key = (self.seed, self.epoch, number) if self.shuffle else None
            cut = Cut(line, segment.topology, key)
            yield segment, cut
            line = cut.remainder(segment.batches)

    def to_dict(self, data: str = "", skip: str = "") -> dict[str, Any]:
        """Return the position as JSON's types.

        Args:
            data: What identifies the data, such as the digest of its listing.
            skip: What identifies the samples of it that are left out; empty if there are none.
        """
        state = {"data": data, **asdict(self)}
        state["segments"] = [
            [*asdict(segment.topology).values(), segment.batches] for segment in self.segments
        ]
        return {"version": _VERSION, **state} | ({"skip": skip} if skip else {})

    def restored(self, state: Mapping[str, Any], data: str = "", skip: str = "") -> Position:
        """Return the position that `to_dict` wrote, if it is one in the same data.

        Args:
            state: What it wrote.
            data: What identifies the data of this position.
            skip: What identifies the samples of it that are left out.

        Raises:
            ConfigError: It is of other data, of another loader, of a newer version of aisio, or
                damaged.
        """
        if not isinstance(state, Mapping) or state.get("version") is None:
            raise ConfigError(f"{_shortly(state)} is no state of a Loader: it has no version")
        if whole_number("the state's version", state["version"], 1) > _VERSION:
            raise ConfigError(
                f"the state has version {state['version']}, of a newer aisio; this one reads "
                f"version {_VERSION}: update aisio"
            )
        found = {"skip": "", **state}
        mine = {"skip": skip, "samples": self.samples, "data": data, "pack": self.pack}
        for name, value in mine.items():
            other = found.get(name)
            if type(other) is not type(value) or other != value:
                raise ConfigError(
                    f"the state is of {_OTHERS.get(name, 'other data')}: it has"
                    f" {name}={_shortly(other)}, and this Loader {name}={_shortly(value)}"
                )
        try:
            return self._read(state)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the state {_shortly(state)} is damaged: {error}") from error

    def _read(self, state: Mapping[str, Any]) -> Position:
        if type(state["shuffle"]) is not bool:
            raise ValueError(f"shuffle={state['shuffle']!r}")
        if not isinstance(state["segments"], list):
            raise ValueError(f"segments={_shortly(state['segments'])} is no list")
        segments = tuple(
            Segment(self._topology(topology), whole_number("batches", batches, 1))
            for *topology, batches in state["segments"]
        )
        read = replace(
            self,
            seed=whole_number("seed", state["seed"], 0),
            epoch=whole_number("epoch", state["epoch"], 0),
            shuffle=state["shuffle"],
            segments=segments,
        )
        for segment, cut in read._cuts(segments):
            most = cut.batches_of_rank(0)  # no rank has more
            if segment.batches > most:
                raise ValueError(f"{segment.batches} of {most} batches received")
        if any(one.topology == other.topology for one, other in pairwise(segments)):
            raise ValueError("two segments of one topology follow each other")
        return read


def _shortly(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
