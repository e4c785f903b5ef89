"""`/`, `/docs` and `/openapi.json`: no data, no token, no network.

FastAPI's own page loads Swagger UI from a content delivery network; here it comes from
the package `fastapi-offline`, of which only the files are used. All links are
relative, so that the page works behind a proxy that adds a prefix.
"""

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from pydantic.json_schema import models_json_schema

from agent_runtime_nb.http_api.schemas import ProblemBody, RunRequest

TITLE = "agent_runtime_nb"

DESCRIPTION = """Agents as actors: every conversation is one, and takes one turn at a
time. Send a message with `POST /agents/{agent_name}/run`; press Authorize and paste the
server's token first."""

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}

_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_routes() -> APIRouter:
    """The routes of this module; they need no token."""
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/", _root)
    routes.add_api_route("/docs", _docs)
    routes.add_api_route("/docs/{name}", _asset)
    routes.add_api_route("/openapi.json", _openapi)
    return routes


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=TITLE,
            version=app.version,
            description=DESCRIPTION,
            routes=app.routes,
            servers=[{"url": "."}],
        )
        components = schema.setdefault("components", {})
        _, errors = models_json_schema(
            [(ProblemBody, "serialization"), (RunRequest, "validation")],
            ref_template="#/components/schemas/{model}",
        )
        components["schemas"] |= errors["$defs"]
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema


async def _root(request: Request) -> Response:
    """Browsers get the docs page, programs its path and that of the document."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("docs", status_code=307)
    return JSONResponse({"name": TITLE, "docs": "docs", "openapi": "openapi.json"})


async def _docs() -> Response:
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=TITLE,
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"tryItOutEnabled": True},
    )
    page.headers["Content-Security-Policy"] = _POLICY
    return page


async def _asset(name: str) -> Response:
    if name not in _ASSETS:
        return Response(status_code=404)
    path = files("fastapi_offline") / "static" / name
    headers = {"Cache-Control": "public, max-age=86400"}
    return FileResponse(str(path), media_type=_ASSETS[name], headers=headers)


async def _openapi(request: Request) -> Response:
    return JSONResponse(openapi_document(request.app))
