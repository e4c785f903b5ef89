"""Who is told what, and that nobody is hurt by it."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

from agent_runtime_nb.runtime.listeners import Listeners
from agent_runtime_nb.runtime_events import (
    EVENT_KINDS,
    ActorDeleted,
    ActorPassivated,
    RuntimeEvent,
    TurnStarted,
)

DELETED = ActorDeleted(type_name="echo", instance_id="c1", at=1.0)
PASSIVATED = ActorPassivated(type_name="echo", instance_id="c1", at=2.0)
STARTED = TurnStarted(
    type_name="echo",
    instance_id="c1",
    at=3.0,
    message_id="m1",
    position=1,
    method="run",
    metadata={},
    waited=0.0,
    waiting=0,
)


class Collector:
    """Remembers what it is told."""

    def __init__(self, *kinds: type[RuntimeEvent]) -> None:
        self.kinds = frozenset(kinds)
        self.told: list[RuntimeEvent] = []

    def on_event(self, event: RuntimeEvent) -> None:
        self.told.append(event)


class Raiser(Collector):
    """Raises whatever it is told."""

    def on_event(self, event: RuntimeEvent) -> None:
        super().on_event(event)
        raise RuntimeError("a listener's own mistake")


class Scope:
    """Writes down when it is entered and left; may raise at any of its parts."""

    def __init__(self, name: str, log: list[str], raising: str = "") -> None:
        self._name = name
        self._log = log
        self._raising = raising

    def _step(self, step: str) -> None:
        self._log.append(f"{step} {self._name}")
        if step == self._raising:
            raise RuntimeError("a scope's own mistake")

    def outgoing_headers(self) -> Mapping[str, str]:
        self._step("ask")
        return {"from": self._name, self._name: "here"}

    def turn_scope(self, started: TurnStarted) -> AbstractContextManager[None]:
        assert started is STARTED
        return self._scope()

    @contextmanager
    def _scope(self) -> Generator[None]:
        self._step("enter")
        yield
        self._step("leave")


def test_nobody_wants_anything_at_first() -> None:
    listeners = Listeners()

    assert not listeners.any
    assert not listeners.has_scopes
    assert not any(listeners.wants(kind) for kind in EVENT_KINDS)
    listeners.tell(DELETED)
    assert listeners.outgoing_headers() == {}


def test_a_listener_is_told_its_kinds_only_and_in_order() -> None:
    listeners, deleted, both = (
        Listeners(),
        Collector(ActorDeleted),
        Collector(ActorDeleted, ActorPassivated),
    )
    listeners.add(deleted)
    listeners.add(both)

    for event in (PASSIVATED, DELETED, PASSIVATED):
        listeners.tell(event)

    assert deleted.told == [DELETED]
    assert both.told == [PASSIVATED, DELETED, PASSIVATED]


def test_an_event_is_wanted_only_while_somebody_listens_to_its_kind() -> None:
    listeners = Listeners()

    remove = listeners.add(Collector(ActorDeleted))

    assert listeners.any
    assert listeners.wants(ActorDeleted)
    assert not listeners.wants(ActorPassivated)
    remove()
    assert not listeners.any
    assert not listeners.wants(ActorDeleted)


def test_a_removed_listener_hears_nothing_more_and_the_others_still_do() -> None:
    listeners, gone, stays = (
        Listeners(),
        Collector(ActorDeleted),
        Collector(ActorDeleted),
    )
    remove = listeners.add(gone)
    listeners.add(stays)

    remove()
    remove()
    listeners.tell(DELETED)

    assert gone.told == []
    assert stays.told == [DELETED]


def test_a_listener_that_is_added_twice_is_told_once() -> None:
    listeners, listener = Listeners(), Collector(ActorDeleted)

    listeners.add(listener)
    remove = listeners.add(listener)
    listeners.tell(DELETED)
    remove()
    listeners.tell(DELETED)

    assert listener.told == [DELETED]


def test_a_listener_that_raises_is_logged_and_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listeners, after = Listeners(), Collector(ActorDeleted)
    listeners.add(Raiser(ActorDeleted))
    listeners.add(after)

    listeners.tell(DELETED)

    assert after.told == [DELETED]
    assert "a listener's own mistake" in caplog.text


def test_a_listener_may_remove_itself_while_it_is_told() -> None:
    listeners, after = Listeners(), Collector(ActorDeleted)

    class Once(Collector):
        def on_event(self, event: RuntimeEvent) -> None:
            super().on_event(event)
            remove()

    once = Once(ActorDeleted)
    remove = listeners.add(once)
    listeners.add(after)

    listeners.tell(DELETED)
    listeners.tell(DELETED)

    assert once.told == [DELETED]
    assert after.told == [DELETED, DELETED]


def test_the_kinds_of_a_listener_are_asked_once() -> None:
    listeners, listener = Listeners(), Collector(ActorDeleted)
    remove = listeners.add(listener)

    listener.kinds = frozenset({ActorPassivated})
    listeners.tell(PASSIVATED)
    remove()
    listeners.tell(DELETED)

    assert listener.told == []
    assert not listeners.any


def test_scopes_are_entered_in_order_and_left_in_reverse() -> None:
    listeners, log = Listeners(), list[str]()
    listeners.add_scope(Scope("a", log))
    listeners.add_scope(Scope("b", log))

    with listeners.turn_scope(STARTED):
        log.append("turn")

    assert log == ["enter a", "enter b", "turn", "leave b", "leave a"]


def test_a_scope_that_fails_to_enter_leaves_the_others_in_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listeners, log = Listeners(), list[str]()
    listeners.add_scope(Scope("a", log, raising="enter"))
    listeners.add_scope(Scope("b", log))

    with listeners.turn_scope(STARTED):
        log.append("turn")

    assert log == ["enter a", "enter b", "turn", "leave b"]
    assert "a scope's own mistake" in caplog.text


def test_a_scope_that_fails_to_leave_hurts_neither_the_turn_nor_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listeners, log = Listeners(), list[str]()
    listeners.add_scope(Scope("a", log))
    listeners.add_scope(Scope("b", log, raising="leave"))

    with listeners.turn_scope(STARTED):
        log.append("turn")

    assert log == ["enter a", "enter b", "turn", "leave b", "leave a"]
    assert "a scope's own mistake" in caplog.text


def test_headers_of_all_scopes_are_put_together_the_later_one_wins() -> None:
    listeners, log = Listeners(), list[str]()
    listeners.add_scope(Scope("a", log))
    listeners.add_scope(Scope("b", log))

    headers = listeners.outgoing_headers()

    assert headers == {"a": "here", "b": "here", "from": "b"}


def test_a_scope_that_fails_to_give_headers_is_logged_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listeners, log = Listeners(), list[str]()
    listeners.add_scope(Scope("a", log, raising="ask"))
    listeners.add_scope(Scope("b", log))

    headers = listeners.outgoing_headers()

    assert headers == {"b": "here", "from": "b"}
    assert "a scope's own mistake" in caplog.text


def test_a_removed_scope_wraps_nothing_more() -> None:
    listeners, log = Listeners(), list[str]()
    remove = listeners.add_scope(Scope("a", log))

    remove()

    assert not listeners.has_scopes
    with listeners.turn_scope(STARTED):
        pass
    assert listeners.outgoing_headers() == {}
    assert log == []
