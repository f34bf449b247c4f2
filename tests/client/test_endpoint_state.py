"""EndpointState: sessions of one endpoint know the same of it."""

from __future__ import annotations

import pickle

from aisio.client.endpoint_state import EndpointState, shared_state
from aisio.client.session import Session
from aisio.records import Settings


def test_sessions_of_one_endpoint_share_a_state() -> None:
    """So a process reads one map of a cluster, however many clients it has."""
    first, second = (Session(Settings("http://h:1", pool_size=size)) for size in (1, 2))
    assert first.endpoint_state is second.endpoint_state is shared_state("http://h:1")
    assert Session(Settings("http://h:2")).endpoint_state is not first.endpoint_state


def test_an_unpickled_session_has_the_state_of_its_process() -> None:
    """Of its own state it brings along whether the endpoint has answered."""
    state = EndpointState()
    state.has_answered = True
    session = pickle.loads(pickle.dumps(Session(Settings("http://h:3"), endpoint_state=state)))
    assert session.endpoint_state is shared_state("http://h:3")
    assert session.endpoint_state.has_answered
    assert not session.endpoint_state.redirects.are_required


def test_an_unpickled_session_knows_that_targets_refuse_direct_reads() -> None:
    """A worker does not have to find that out again."""
    state = EndpointState()
    state.redirects.require()
    session = pickle.loads(pickle.dumps(Session(Settings("http://h:4"), endpoint_state=state)))
    assert session.endpoint_state.redirects.are_required


def test_an_unpickled_session_knows_that_a_token_was_accepted() -> None:
    """A worker waits for a new token, as its parent does, and does not end the job."""
    state = EndpointState()
    state.has_accepted_token = True
    session = pickle.loads(pickle.dumps(Session(Settings("http://h:5"), endpoint_state=state)))
    assert session.endpoint_state.has_accepted_token
