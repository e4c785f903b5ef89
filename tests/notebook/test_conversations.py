"""What a notebook does with its conversations beside talking in them."""

import json
from pathlib import Path

import pytest

from agent_runtime_nb.agents.samples import EchoAgent
from agent_runtime_nb.exceptions import InvalidRequest, RequestNotFound
from tests.notebook.conftest import Start


async def test_conversations_are_listed_as_a_table_with_names_and_parents(
    begin: Start,
) -> None:
    rt = begin(EchoAgent())
    await rt.ask("Hi", conversation="one")
    await rt.rename("<Talk>", conversation="one")
    fork = await rt.fork(conversation="one")

    listed = await rt.conversations()

    assert [one.actor_id.instance_id for one in listed] == [fork, "one"]
    assert "&lt;Talk&gt;" in listed._repr_html_()
    assert "echo/one" in listed._repr_html_()


async def test_a_fork_is_a_conversation_of_its_own(begin: Start) -> None:
    rt = begin(EchoAgent())
    first = await rt.ask("one", conversation="a")
    await rt.ask("two", conversation="a")

    fork = await rt.fork(conversation="a", at=first.message_id)
    await rt.ask("three", conversation=fork)

    assert "two" not in await rt.export(conversation=fork)
    assert "three" not in await rt.export(conversation="a")


@pytest.mark.parametrize("suffix", [".md", ".json", ".ipynb"])
async def test_a_conversation_is_exported_in_the_form_of_the_files_ending(
    begin: Start, tmp_path: Path, suffix: str
) -> None:
    rt = begin(EchoAgent())
    await rt.ask("Grüße", conversation="a")
    file = tmp_path / f"talk{suffix}"

    text = await rt.export(file, conversation="a")

    assert file.read_text(encoding="utf-8") == text
    assert "Grüße" in text
    assert suffix == ".md" or json.loads(text)
    assert repr(text) == f"<{file}: {len(text):,} characters written>"


async def test_another_ending_is_refused_at_once(begin: Start) -> None:
    rt = begin(EchoAgent())

    with pytest.raises(InvalidRequest, match=r"must end in \.md, \.json, \.ipynb"):
        rt.export("talk.docx")


async def test_an_exported_conversation_goes_on_under_another_name(
    begin: Start, tmp_path: Path
) -> None:
    rt = begin(EchoAgent())
    await rt.ask("Hi", conversation="a")
    await rt.export(tmp_path / "talk.json", conversation="a")

    name = await rt.import_conversation(tmp_path / "talk.json", conversation="b")

    assert name == "b"
    assert "Echo: Hi" in await rt.export(conversation="b")


async def test_a_file_that_is_no_conversation_is_refused(
    begin: Start, tmp_path: Path
) -> None:
    rt = begin(EchoAgent())
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_text("[1]")

    with pytest.raises(InvalidRequest, match="no JSON"):
        rt.import_conversation(tmp_path / "x.json")
    with pytest.raises(InvalidRequest, match="must be an object"):
        rt.import_conversation(tmp_path / "y.json", conversation="b")


async def test_a_deleted_conversation_is_gone(begin: Start) -> None:
    rt = begin(EchoAgent())
    await rt.ask("Hi", conversation="a")

    assert await rt.delete(conversation="a") is True
    assert await rt.delete(conversation="a") is False
    assert list(await rt.conversations()) == []


async def test_a_request_runs_again_and_gives_its_answer(begin: Start) -> None:
    rt = begin(EchoAgent())
    answer = await rt.ask("Hi", conversation="a")

    again = await rt.run_again(answer.message_id, conversation="a")

    assert (again.text, again.message_id) == ("Echo: Hi", f"{answer.message_id}~2")


async def test_what_never_was_cannot_be_run_again_or_discarded(begin: Start) -> None:
    rt = begin(EchoAgent())

    with pytest.raises(RequestNotFound):
        await rt.run_again("never")
    with pytest.raises(RequestNotFound):
        await rt.discard("never")


async def test_nobody_is_dead_or_in_quarantine_at_the_beginning(begin: Start) -> None:
    rt = begin(EchoAgent())

    assert await rt.dead_letters() == ()
    assert await rt.revive() is False
    with pytest.raises(InvalidRequest, match="0 of the 0 dead letters have this id"):
        await rt.requeue("never")
