"""`/health`: how the runtime is, also while its event loop is blocked."""

import asyncio

from fastapi import APIRouter, Response

from agent_runtime_nb.exceptions import LoopBlocked
from agent_runtime_nb.http_api.schemas import HealthInfo
from agent_runtime_nb.http_api.turn_response import json_response
from agent_runtime_nb.runtime_directory import RuntimeDirectory

HEALTH_TIMEOUT = 0.8
"""Seconds after which `/health` says that the runtime does not answer."""


def health_routes(directory: RuntimeDirectory) -> APIRouter:
    """The route of this module."""
    routes = APIRouter()
    routes.add_api_route(
        "/health",
        _HealthRoute(directory).health,
        response_model=HealthInfo,
        responses={503: {"model": HealthInfo}},
    )
    return routes


class _HealthRoute:
    def __init__(self, directory: RuntimeDirectory) -> None:
        self._directory = directory

    async def health(self) -> Response:
        """How the runtime is; answers even while its event loop is blocked."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                found = await self._directory.health()
        except (TimeoutError, LoopBlocked):
            detail = str(LoopBlocked(HEALTH_TIMEOUT))
            return json_response({"status": "blocked", "detail": detail}, 503)
        body = {name: getattr(found, name) for name in HealthInfo.model_fields}
        return json_response(body, 503 if found.status == "stopped" else 200)
