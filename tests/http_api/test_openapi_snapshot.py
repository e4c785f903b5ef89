"""The API that clients are written against changes only when somebody decides it."""

import difflib
import json
import re

import pytest

from tests.http_api.openapi_snapshot import COMMAND, SNAPSHOT, described

MANY = 80  # lines of a difference that are shown


def difference(agreed: str, now: str) -> str:
    """What to do about a changed document, and how it differs; "" if it does not."""
    lines = list(
        difflib.unified_diff(
            agreed.splitlines(), now.splitlines(), "openapi.json", "now", lineterm=""
        )
    )
    if not lines:
        return ""
    shown = "\n".join(lines[:MANY])
    return (
        "the OpenAPI document is not the one in tests/http_api/openapi.json.\n"
        "If no client should notice anything, mend the code. If it is meant:\n"
        f"  1. .venv/bin/{COMMAND}\n"
        "  2. add a line to CHANGELOG.md under Unreleased; under Breaking if a client\n"
        "     that was written for the old document can fail\n"
        f"{len(lines)} lines differ or are around it, among them:\n{shown}"
    )


def test_the_openapi_document_is_the_one_that_was_agreed_on():
    message = difference(SNAPSHOT.read_text(encoding="utf-8"), described())

    if message:
        pytest.fail(message, pytrace=False)


def test_a_difference_says_where_it_is_and_what_to_do():
    message = difference('{\n "a": 1\n}\n', '{\n "a": 2\n}\n')

    assert f"1. .venv/bin/{COMMAND}\n" in message
    assert "CHANGELOG.md under Unreleased" in message
    assert '- "a": 1\n+ "a": 2' in message
    assert not difference("same\n", "same\n")


def test_the_document_names_no_machine_and_no_path():
    text = SNAPSHOT.read_text(encoding="utf-8")

    assert json.loads(text)["servers"] == [{"url": "."}]
    assert not re.findall(r"https?://(?!json-schema\.org)[^\"\s]*", text)
    assert not re.findall(
        r"/(?:home|root|tmp|Users|work)/|localhost|127\.0\.0\.1", text
    )
