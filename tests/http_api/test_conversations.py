"""Conversations over HTTP: listed, read, named, forked, exported, imported, deleted."""

import nbformat

from tests.http_api.served import ServedRuntime, says

ALL = "/agents/echo/conversations"


def say(served: ServedRuntime, conversation: str, *texts: str) -> list[str]:
    """Say things; the ids of the requests."""
    return [
        served.http.post(
            "/agents/echo/run",
            json={**says(text), "conversation_id": conversation},
        ).json()["request_id"]
        for text in texts
    ]


def test_conversations_are_listed_in_pages_that_miss_and_repeat_nothing(
    served: ServedRuntime,
):
    names = [f"c{n}" for n in range(5)]
    for name in names:
        say(served, name, "hello")

    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = served.http.get(ALL, params={"limit": 2, **after}).json()
        found += [one["conversation_id"] for one in page["conversations"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}

    assert found == names


def test_a_conversation_is_read_in_pages_newest_first(served: ServedRuntime):
    say(served, "c1", "one", "two", "three")

    newest = served.http.get(f"{ALL}/c1", params={"limit": 2}).json()
    before = newest["turns"][0]["position"]
    older = served.http.get(f"{ALL}/c1", params={"before": before}).json()

    texts = [
        turn["entries"][0]["contents"][0]["text"]
        for turn in older["turns"] + newest["turns"]
    ]
    assert texts == ["one", "two", "three"]
    assert newest["more"] is True
    assert older["more"] is False


def test_a_conversation_can_be_named_and_the_name_taken_away(served: ServedRuntime):
    say(served, "c1", "hello")

    named = served.http.patch(f"{ALL}/c1", json={"name": "Greetings"})
    listed = served.http.get(ALL).json()["conversations"]
    taken = served.http.patch(f"{ALL}/c1", json={"name": None})
    bad = served.http.patch(f"{ALL}/c1", json={"name": ""})

    assert named.json()["name"] == listed[0]["name"] == "Greetings"
    assert taken.json()["name"] is None
    assert bad.status_code == 422


def test_a_fork_begins_as_its_parent_and_continues_independently(served: ServedRuntime):
    first, _ = say(served, "c1", "one", "two")

    forked = served.http.post(f"{ALL}/c1/fork", json={"at": first})
    path_of_fork = forked.headers["location"]
    child = forked.json()["conversation_id"]
    say(served, child, "three")
    found = served.http.get(path_of_fork).json()

    assert forked.status_code == 201
    assert forked.json()["parent"] == "c1"
    assert [turn["params"]["messages"][0]["content"] for turn in found["turns"]] == [
        "one",
        "three",
    ]
    assert len(served.http.get(f"{ALL}/c1").json()["turns"]) == 2


def test_what_is_exported_can_be_imported_again(served: ServedRuntime):
    say(served, "c1", "one", "two")

    document = served.http.get(f"{ALL}/c1/export").json()
    made = served.http.post(ALL, params={"conversation_id": "copy"}, json=document)
    again = served.http.post(ALL, params={"conversation_id": "copy"}, json=document)
    copy = served.http.get(made.headers["location"]).json()

    assert made.status_code == 201
    assert again.status_code == 422
    original = served.http.get(f"{ALL}/c1").json()
    assert [turn["entries"] for turn in copy["turns"]] == [
        turn["entries"] for turn in original["turns"]
    ]


def test_a_conversation_is_exported_for_people_too(served: ServedRuntime):
    say(served, "c1/ä", "one")
    path = f"{ALL}/c1%2F%C3%A4/export"

    text = served.http.get(path, params={"format": "markdown"})
    notebook = served.http.get(path, params={"format": "notebook"})
    unknown = served.http.get(path, params={"format": "pdf"})

    assert text.headers["content-type"].startswith("text/markdown")
    assert "Echo: one" in text.text
    assert text.headers["content-disposition"] == 'attachment; filename="c1-.md"'
    nbformat.validate(nbformat.reads(notebook.text, 4))
    assert unknown.status_code == 422


def test_a_document_that_is_none_is_malformed_and_says_where(served: ServedRuntime):
    for document, field in (
        ({}, "conversation"),
        ({"conversation": "c1", "format": "x"}, "format"),
        (
            {
                "conversation": "c1",
                "format": "agent-runtime-nb conversation",
                "version": 99,
            },
            "version",
        ),
    ):
        answer = served.http.post(ALL, json=document)

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field


def test_a_deleted_conversation_is_gone(served: ServedRuntime):
    say(served, "c1", "hello")

    deleted = served.http.delete(f"{ALL}/c1")
    again = served.http.delete(f"{ALL}/c1")

    assert deleted.status_code == 204
    assert again.status_code == 404
    assert served.http.get(f"{ALL}/c1").status_code == 404


def test_what_was_never_there_is_not_found(served: ServedRuntime):
    for method, path in (
        ("GET", f"{ALL}/none"),
        ("GET", f"{ALL}/none/export"),
        ("POST", f"{ALL}/none/fork"),
        ("DELETE", f"{ALL}/none"),
        ("GET", "/agents/nobody/conversations"),
    ):
        assert served.http.request(method, path).status_code == 404, path


def test_where_an_agent_failed_in_the_users_code_is_not_shown(served: ServedRuntime):
    served.open_gate()
    body = {**says("fail"), "conversation_id": "c1"}

    failed = served.http.post("/agents/gated/run", json=body)
    read = served.http.get("/agents/gated/conversations/c1")

    assert failed.json()["error"]["message"] == "the gate is broken"
    assert "the gate is broken" in read.text
    assert '"where"' not in failed.text + read.text


def test_there_are_no_dead_letters_and_nothing_to_revive(served: ServedRuntime):
    say(served, "c1", "hello")

    assert served.http.get("/agents/echo/dead-letters").json()["dead_letters"] == []
    assert served.http.post(f"{ALL}/c1/revive").json() == {"revived": False}
