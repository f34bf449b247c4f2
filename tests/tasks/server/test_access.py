"""Who may use the server."""

from __future__ import annotations

import base64

import pytest

from aisio.tasks.server.access import Access

ACCESS = Access("ada", "p/a@s:s wörd")


def basic(user: str, password: str) -> str:
    """Return an Authorization header as git sends it."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def test_the_token_is_the_same_after_a_restart() -> None:
    """And another one for another user or password."""
    again = Access("ada", "p/a@s:s wörd")
    others = {Access("eve", again.password).token, Access("ada", "other").token}
    assert again.token == ACCESS.token
    assert again.token not in others
    assert ACCESS.password not in ACCESS.token


def test_user_and_password_are_both_needed() -> None:
    """As a login sends them."""
    assert ACCESS.is_password("ada", ACCESS.password)
    for user, password in (("eve", ACCESS.password), ("ada", ""), ("", ""), ("ada", "\udcff")):
        assert not ACCESS.is_password(user, password)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic {token}", "{token}"])
def test_requests_need_the_token(header) -> None:
    """As a bearer token."""
    assert ACCESS.admits(f"Bearer {ACCESS.token}")
    assert not ACCESS.admits(header.format(token=ACCESS.token))


def test_git_sends_the_password_or_the_token() -> None:
    """Passwords may have colons."""
    assert ACCESS.admits_git(basic("ada", ACCESS.password))
    assert ACCESS.admits_git(basic("ada", ACCESS.token))
    headers = ("", "Basic", "Basic !", "Basic /w==", basic("ada", "x"), basic("eve", ACCESS.token))
    for header in headers:
        assert not ACCESS.admits_git(header)


def test_the_password_is_in_no_repr() -> None:
    """As reprs are logged."""
    assert ACCESS.password not in repr(ACCESS)
