"""The OpenAPI document that was agreed on, as it is kept in `openapi.json`.

`python -m tests.http_api.openapi_snapshot` writes it anew: a decision, which gets a line
in the changelog.
"""

import json
from pathlib import Path
from typing import Any

from agent_runtime_nb.http_api.app import create_app
from tests.http_api.fakes import FakeClient, FakeDirectory

SNAPSHOT = Path(__file__).with_name("openapi.json")
COMMAND = "python -m tests.http_api.openapi_snapshot"


def described() -> str:
    """The document as it is now, the same text each time."""
    document: dict[str, Any] = create_app(FakeClient(), FakeDirectory()).openapi()
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(described(), encoding="utf-8")
