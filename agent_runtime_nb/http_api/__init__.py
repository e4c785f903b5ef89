"""Agents over HTTP: `create_app` for any client and directory, `EmbeddedServer`.

app.py        the routes
schemas.py    what goes in and out, as pydantic models
problems.py   every error as an RFC 9457 problem, from one table
sse.py        an answer as a stream of events
guard.py      who may enter
docs_page.py  `/`, `/docs` and `/openapi.json`, without a network
server.py     uvicorn, embedded in a process that does other things too
__main__.py   `python -m agent_runtime_nb.http_api`
"""

# First, so that a missing package is named together with its extra.
from agent_runtime_nb.http_api import needs as needs
from agent_runtime_nb.http_api.app import create_app
from agent_runtime_nb.http_api.guard import GuardOptions
from agent_runtime_nb.http_api.server import EmbeddedServer

__all__ = ["EmbeddedServer", "GuardOptions", "create_app"]
