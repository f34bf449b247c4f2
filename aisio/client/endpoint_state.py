"""EndpointState: what a process knows of one endpoint; all its sessions share it."""

from __future__ import annotations

from aisio.client.cluster_maps import ClusterMapCache
from aisio.client.redirects import Redirects

__all__ = ["EndpointState", "shared_state"]


class EndpointState:
    """What a process knows of one endpoint.

    Args:
        maps: The cache of the cluster's map.

    Attributes:
        maps: As above.
        redirects: Whether reads must begin at the proxy.
        has_answered: Whether the endpoint has ever answered this process, or a process that it was
            forked or unpickled from.
        has_accepted_token: Likewise, whether it has ever accepted a token that is from a file.
        no_batches_until_s: When a get-batch is worth a try again, by `time.monotonic`: one that
            went silent is not tried again at once.
    """

    def __init__(self, maps: ClusterMapCache | None = None) -> None:
        self.maps = maps or ClusterMapCache()
        self.redirects = Redirects()
        self.has_answered = False
        self.has_accepted_token = False
        self.no_batches_until_s = 0.0


_shared: dict[str, EndpointState] = {}


def shared_state(endpoint: str) -> EndpointState:
    """Return the process's state of an endpoint: the same one for each session of it."""
    state = _shared.get(endpoint)
    # Threads that come at the same time must all get the same state.
    return state or _shared.setdefault(endpoint, EndpointState())
