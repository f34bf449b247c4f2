"""Rules that decide which request gets which fault."""

from __future__ import annotations

import pytest

from aisio.testing.fault_proxy import Cut, Fault, Misroute, Refuse, Rule, SeenRequest
from aisio.testing.fault_rules import Rules

CUT, REFUSE = Cut(1), Refuse()


def request(target: str = "/x", method: str = "GET", node: str = "http://a") -> SeenRequest:
    """Return a request as the proxy records it."""
    return SeenRequest(method, target, {}, node)


def choose(rules: Rules, *targets: str) -> list[Fault | None]:
    """Return the faults of some requests, in order."""
    return [rules.choose(request(target), ()) for target in targets]


def test_without_rules_nothing_is_broken() -> None:
    """The request is forwarded."""
    assert choose(Rules(), "/x") == [None]


def test_a_rule_applies_once_unless_it_says_otherwise() -> None:
    """None is without end."""
    for times, faults in ((1, [CUT, None, None]), (2, [CUT, CUT, None]), (None, [CUT] * 3)):
        rules = Rules()
        rules.add(Rule(CUT, times=times))
        assert choose(rules, "/x", "/x", "/x") == faults


def test_a_rule_skips_matching_requests_only() -> None:
    """Others do not count."""
    rules = Rules()
    rules.add(Rule(CUT, path="/a*", skip=1))
    assert choose(rules, "/b", "/a", "/b", "/a/deep", "/a") == [None, None, None, CUT, None]


def test_a_request_that_one_rule_skips_is_for_the_next() -> None:
    """The first rule that applies is used, and only that one counts down."""
    rules = Rules()
    rules.add(Rule(CUT, skip=1))
    rules.add(Rule(REFUSE, times=2))
    assert choose(rules, "/1", "/2", "/3", "/4") == [REFUSE, CUT, REFUSE, None]


@pytest.mark.parametrize(
    ("rule", "matching", "other"),
    [
        (Rule(CUT, method="PUT"), request(method="PUT"), request(method="GET")),
        (Rule(CUT, path="/a"), request("/a?query"), request("/a/b")),
        (Rule(CUT, path="/[ab]"), request("/b"), request("/c")),
        (Rule(CUT, path="/A"), request("/A"), request("/a")),
    ],
)
def test_method_and_path_have_to_match(
    rule: Rule, matching: SeenRequest, other: SeenRequest
) -> None:
    """The path is a shell pattern, case counts, and the query does not."""
    rules = Rules()
    rules.add(rule)
    assert rules.choose(other, ()) is None
    assert rules.choose(matching, ()) == CUT


def test_cleared_rules_are_gone() -> None:
    """Those that never end too."""
    rules = Rules()
    rules.add(Rule(CUT, times=None))
    rules.clear()
    assert choose(rules, "/x") == [None]


def test_a_misroute_takes_the_last_other_request_of_its_node() -> None:
    """Of the same method; the query alone makes no other request."""
    earlier = [
        request("/old"),
        request("/last?q"),
        request("/x?other"),
        request("/put", "PUT"),
        request("/elsewhere", node="http://b"),
    ]
    rules = Rules()
    rules.add(Rule(Misroute()))
    assert rules.choose(request("/x"), earlier) == Misroute("/last?q")


def test_a_misroute_waits_until_there_is_another_request() -> None:
    """It is not used up, nor its skip, by a request that it cannot break."""
    rules = Rules()
    rules.add(Rule(Misroute(), skip=1))
    assert rules.choose(request("/x"), ()) is None
    assert rules.choose(request("/x"), [request("/y")]) is None
    assert rules.choose(request("/x"), [request("/y")]) == Misroute("/y")
    rules.add(Rule(Misroute("/z")))
    assert rules.choose(request("/x"), ()) == Misroute("/z")
