"""A model of how an AIStore cluster lists a bucket: each target walks its disks, the proxy merges.

Written after AIStore 5.0: fs/walkbck.go (disks are merged by the names that come next),
xact/xs/lso.go (`nextPageA`, `shiftLastPage`, `findToken`: a target's part of a page),
xact/xs/wi_lso.go (what a walk skips) and ais/plstcx.go (`concatLso`, `finLsoA`: the page).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from zlib import crc32

from aisio.records import ObjectInfo
from aisio.wire.listing import Page
from aisio.wire.listing_walk import PageRequest

SERVER_PAGE = 10_000
READ_AHEAD = 3


def _first_true(count: int, holds: Callable[[int], bool]) -> int:
    """Search as Go's sort.Search does, which finds just any step where there are several."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


class Disk:
    """A disk of a target: directories are read when the walk comes to them."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def accepts(self, name: str) -> bool:
        """Tell whether a file system can have this name beside the others."""
        parts = name.split("/")
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        return above.isdisjoint(self.names) and not any(
            other.startswith(f"{name}/") for other in self.names
        )

    def walk(self, folder: str, request: PageRequest) -> Iterator[tuple[str, bool]]:
        """Yield what the walk passes, and whether that is a directory."""
        below = [name[len(folder) :] for name in self.names if name.startswith(folder)]
        directories = {name.split("/")[0] for name in below if "/" in name}
        files = {name for name in below if "/" not in name}
        for child in sorted(directories | files):
            path = folder + child
            if child in files:
                yield path, False
            elif self._skips(path, request):
                continue
            elif request.recursive:
                yield from self.walk(f"{path}/", request)
            else:
                yield path, True

    @staticmethod
    def _skips(path: str, request: PageRequest) -> bool:
        marker = request.after.rpartition("/")[0]
        return bool(marker) and path < marker and not marker.startswith(path)


@dataclass
class Part:
    """One target's part of a listing."""

    disks: list[Disk]
    request: PageRequest
    page: list[str] = field(default_factory=list)
    token: str = ""
    done: bool = False

    def __post_init__(self) -> None:
        self._begin(self.request)

    def _begin(self, request: PageRequest) -> None:
        walks = [disk.walk(request.folder, request) for disk in self.disks]
        self.merged = heapq.merge(*walks)
        self.since = request.after
        self.ahead: deque[str] = deque()
        self.done = False
        self.last_directory = ""

    def _walked(self) -> Iterator[str]:
        for name, is_directory in self.merged:
            if is_directory:
                if name != self.last_directory:
                    self.last_directory = name
                    yield f"{name}/"
            elif name > self.since:
                yield name

    def _next(self) -> str | None:
        while len(self.ahead) <= READ_AHEAD and (name := next(self._walked(), None)):
            self.ahead.append(name)
        return self.ahead.popleft() if self.ahead else None

    def _find(self, token: str) -> int:
        return _first_true(len(self.page), lambda index: self.page[index] > token)

    def entries(self, request: PageRequest, size: int) -> list[str]:
        """Return what the target sends for a page."""
        token = request.after
        if token and token == self.token:
            return list(self.page)
        if self.token > token:
            self._begin(request)
            self.page.clear()
        elif token:
            del self.page[: self._find(token)]
        self.token = token
        if not self.done and self._find(token) + size > len(self.page):
            self._fill(token, size)
        return self.page[self._find(token) :][:size]

    def _fill(self, token: str, size: int) -> None:
        count = 0
        while count < size:
            name = self._next()
            if name is None:
                self.done = True
                return
            if name > token:
                self.page.append(name)
                count += 1


class Cluster:
    """A proxy and its targets; names lie where a hash puts them.

    Args:
        targets: How many targets.
        disks: How many disks each has.
    """

    def __init__(self, targets: int = 2, disks: int = 2) -> None:
        self.targets = [[Disk() for _ in range(disks)] for _ in range(targets)]
        self.listings: dict[str, list[Part]] = {}
        self.requests: list[PageRequest] = []

    def _disk(self, name: str) -> Disk:
        code = crc32(name.encode())
        disks = self.targets[code % len(self.targets)]
        return disks[code // 97 % len(disks)]

    def put(self, name: str) -> bool:
        """Store an object; False where its disk has a folder of that name, or a file above it."""
        disk = self._disk(name)
        if disk.accepts(name):
            disk.names.add(name)
        return name in disk.names

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        self._disk(name).names.discard(name)

    def fetch(self, request: PageRequest) -> Page:
        """Answer a request for a page."""
        self.requests.append(request)
        uuid = request.uuid or f"id-{len(self.requests)}"
        parts = self.listings.setdefault(uuid, [Part(disks, request) for disks in self.targets])
        size = request.page_size or SERVER_PAGE
        names = sorted(name for part in parts for name in part.entries(request, size))
        if not request.recursive:
            names = sorted(set(names))
        token = names[size - 1] if len(names) >= size else ""
        return Page([ObjectInfo("ais://b", name, 1) for name in names[:size]], token, uuid)


def list_by_tokens(cluster: Cluster, size: int) -> list[str]:
    """List as the cluster means it: each page goes on behind the last name of the one before."""
    names: list[str] = []
    request = PageRequest("", "", "", size, recursive=True)
    while True:
        page = cluster.fetch(request)
        names += [info.name for info in page.entries]
        if not page.token:
            return names
        request = request._replace(after=page.token, uuid=page.uuid)
