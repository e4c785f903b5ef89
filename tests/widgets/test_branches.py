"""Where a conversation was forked, from what is noted of its relatives."""

from datetime import UTC, datetime

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.runtime_directory import ConversationInfo
from agent_runtime_nb.widgets.chat_panel.branches import Branch, branches_of


def conversation(
    name: str, parent: str | None = None, after: str | None = None, at: float = 0.0
) -> ConversationInfo:
    return ConversationInfo(
        ActorId("echo", name),
        name=name.upper(),
        parent=None if parent is None else ActorId("echo", parent),
        forked_at=after,
        forked_on=None if parent is None else datetime.fromtimestamp(at, UTC),
    )


def seen_in(shown: str, infos: list[ConversationInfo], *turns: str) -> list[Branch]:
    return branches_of(ActorId("echo", shown), infos, turns.__contains__)


def ids(branch: Branch) -> list[str]:
    return [option["instance_id"] for option in branch["options"]]


def test_a_conversation_that_was_never_forked_has_no_branches() -> None:
    assert seen_in("a", [conversation("a"), conversation("b")], "m1") == []


def test_a_fork_and_its_origin_show_each_other() -> None:
    infos = [conversation("a"), conversation("f", "a", "m1")]

    [in_origin] = seen_in("a", infos, "m1", "m2")
    [in_fork] = seen_in("f", infos, "m1", "n2")

    assert in_origin["after"] == in_fork["after"] == "m1"
    assert ids(in_origin) == ids(in_fork) == ["a", "f"]
    assert (in_origin["index"], in_fork["index"]) == (0, 1)
    assert in_origin["options"][1] == {"instance_id": "f", "name": "F"}


def test_an_edit_of_an_edit_is_another_option_of_the_same_branch() -> None:
    infos = [
        conversation("a"),
        conversation("second", "first", "m1", at=20),
        conversation("first", "a", "m1", at=10),
    ]

    [branch] = seen_in("second", infos, "m1")

    assert ids(branch) == ["a", "first", "second"]
    assert branch["index"] == 2


def test_a_fork_further_on_stands_for_the_one_that_it_came_from() -> None:
    infos = [
        conversation("a"),
        conversation("f", "a", "m1", at=1),
        conversation("g", "f", "n2", at=2),
    ]

    branches = {one["after"]: one for one in seen_in("g", infos, "m1", "n2")}

    assert ids(branches["m1"]) == ["a", "g"]
    assert ids(branches["n2"]) == ["f", "g"]


def test_a_fork_of_the_origin_behind_the_own_fork_is_not_shown() -> None:
    infos = [
        conversation("a"),
        conversation("f", "a", "m1", at=1),
        conversation("late", "a", "m5", at=2),
    ]

    branches = seen_in("f", infos, "m1", "n2")

    assert [one["after"] for one in branches] == ["m1"]


def test_a_fork_before_the_first_message_is_a_branch_at_the_very_beginning() -> None:
    infos = [conversation("a"), conversation("f", "a", None)]

    [branch] = seen_in("f", infos)

    assert branch["after"] is None
    assert ids(branch) == ["a", "f"]


def test_a_fork_whose_origin_was_deleted_stands_alone() -> None:
    assert seen_in("f", [conversation("f", "gone", "m1")], "m1") == []
