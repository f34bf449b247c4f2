"""RoundCut: a line that ranks read in rounds, so that all of them are at the same place of it."""

from __future__ import annotations

from aisio.training.order.cut import Cut
from aisio.training.order.mix_line import TailLine

__all__ = ["RoundCut"]


class RoundCut(Cut):
    """Shares a line out in rounds of a batch for each rank, one after the other.

    So what any number of ranks has received, whatever their batches, is the beginning of the line.
    `Cut` gives each rank a stretch of it instead.

    `equalize` of the topology is "drop", "pad" or "none": with "none" the last round is given to
    the ranks in their order, and some may have no batch of it.
    """

    def samples_of_rank(self, rank: int) -> int:
        """See `Cut.samples_of_rank`."""
        topology = self.topology
        rounds, left = self._rounds()
        of_last = min(topology.batch_size, max(0, left - rank * topology.batch_size))
        if topology.equalize == "pad" and left:
            of_last = topology.batch_size
        if topology.equalize == "drop":
            of_last = 0
        return rounds * topology.batch_size + of_last

    def batches_of_rank(self, rank: int) -> int:
        """See `Cut.batches_of_rank`."""
        return -(-self.samples_of_rank(rank) // self.topology.batch_size)

    def batch(self, rank: int, number: int) -> list[int]:
        """See `Cut.batch`."""
        batches = self.batches_of_rank(rank)
        if not 0 <= number < batches:
            raise IndexError(f"batch {number} of rank {rank}, which has {batches}")
        size, count = self.topology.batch_size, len(self.line)
        start = (number * self.topology.ranks + rank) * size
        stop = start + min(size, self.samples_of_rank(rank) - number * size)
        return [self.line[position % count] for position in range(start, stop)]

    @property
    def _shared(self) -> int:
        return sum(map(self.samples_of_rank, range(self.topology.ranks)))

    def delivered(self, batches: int) -> int:
        """Return how much of the line has been delivered once each rank was given so many."""
        topology = self.topology
        return min(len(self.line), batches * topology.ranks * topology.batch_size)

    def rest(self, batches: int) -> TailLine:
        """Return what has not been delivered then."""
        return TailLine(self.line, self.delivered(batches))

    def _rounds(self) -> tuple[int, int]:
        return divmod(len(self.line), self.topology.ranks * self.topology.batch_size)
