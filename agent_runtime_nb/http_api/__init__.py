"""Agents over HTTP: `create_app` for any client and directory, `EmbeddedServer`.

app.py             `create_app`: guard, error handling and routes, put together
routes/            the routes of this API, a module for each resource
openai/            the same agents behind OpenAI's API
ag_ui/             the same agents behind AG-UI
guard.py           authentication, Host, Origin and limits, before any route
problems.py        every error as an RFC 9457 problem, from one table
json_depth.py      how deeply a body may be nested
schemas.py         bodies of requests and responses, as pydantic models
lookup.py          agents and conversations by the names in a URL
turn_response.py   a turn as an HTTP response
approvals.py       the approval requests in it
delivery.py        that response at once, as an event stream, or later
content_stream.py  the content of a running turn, chunk by chunk
sse.py             server-sent events
server.py          uvicorn, embedded in a process that does other things too
connection.py      uvicorn's HTTP protocol, with a deadline for request heads
jupyter.py         the addresses of a server in a Jupyter environment
requirements.py    asks for the packages of the extra
__main__.py        `python -m agent_runtime_nb.http_api`
"""

# First, so that a missing package is named together with its extra.
from agent_runtime_nb.http_api import requirements as requirements
from agent_runtime_nb.http_api.app import create_app
from agent_runtime_nb.http_api.guard import GuardOptions
from agent_runtime_nb.http_api.server import EmbeddedServer

__all__ = ["EmbeddedServer", "GuardOptions", "create_app"]
