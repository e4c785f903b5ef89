"""What a failure leads to, as pure functions."""

import pytest
from hypothesis import given, strategies as st

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.supervision import (
    RestartPolicy,
    Verdict,
    is_dead_letter,
    judge,
)

EXACT = RestartPolicy(jitter=0.0)


def verdicts(policy: RestartPolicy, times: list[float]) -> list[Verdict]:
    """What failures at these times lead to, one after the other."""
    found: list[Verdict] = []
    failures: tuple[float, ...] = ()
    for now in times:
        verdict = judge(policy, failures, now, chance=0.5)
        failures = verdict.failures
        found.append(verdict)
    return found


def test_pauses_double_and_the_fourth_failure_within_a_minute_is_quarantine():
    found = verdicts(EXACT, [0.0, 1.0, 2.0, 3.0])

    assert [verdict.pause for verdict in found] == [0.2, 0.4, 0.8, None]


def test_a_healthy_minute_is_a_new_beginning():
    found = verdicts(EXACT, [0.0, 1.0, 2.0, 62.0])

    assert found[-1] == Verdict((62.0,), 0.2)


def test_failures_far_enough_apart_never_lead_to_quarantine():
    found = verdicts(EXACT, [20.0 * number for number in range(100)])

    assert all(verdict.pause is not None for verdict in found)


def test_no_pause_is_longer_than_the_longest():
    policy = RestartPolicy(max_restarts=50, jitter=0.0)

    found = verdicts(policy, [float(number) for number in range(50)])

    assert found[-1].pause == 10.0


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 0.16), (0.5, 0.2), (1.0, 0.24)])
def test_the_jitter_makes_a_pause_up_to_a_fifth_longer_or_shorter(
    chance: float, pause: float
):
    verdict = judge(RestartPolicy(), (), 0.0, chance)

    assert verdict.pause == pytest.approx(pause)


def test_without_restarts_the_first_failure_is_quarantine():
    assert judge(RestartPolicy(max_restarts=0), (), 0.0, 0.5).pause is None


@given(
    times=st.lists(st.floats(0, 300), max_size=40).map(sorted),
    max_restarts=st.integers(0, 6),
    chance=st.floats(0, 1),
)
def test_quarantine_comes_exactly_with_more_failures_within_a_minute_than_restarts(
    times: list[float], max_restarts: int, chance: float
):
    policy = RestartPolicy(max_restarts=max_restarts)
    failures: tuple[float, ...] = ()

    for count, now in enumerate(times, 1):
        verdict = judge(policy, failures, now, chance)
        recent = [one for one in times[:count] if now - one < policy.within]

        assert (verdict.pause is None) == (len(recent) > max_restarts)
        assert verdict.pause is None or 0 <= verdict.pause <= 12
        failures = verdict.failures


def test_a_request_that_was_begun_three_times_is_a_dead_letter():
    attempts = [1, 2, 3, 4]

    found = [is_dead_letter(RestartPolicy(), one) for one in attempts]

    assert found == [False, False, True, True]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_restarts", -1),
        ("within", -1.0),
        ("backoff", -0.1),
        ("longest", -1.0),
        ("jitter", 1.0),
        ("jitter", -0.1),
        ("max_attempts", 0),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_the_name_of_its_field(
    field: str, value: float
):
    with pytest.raises(InvalidRequest, match=field):
        RestartPolicy(**{field: value})  # pyright: ignore[reportArgumentType]
