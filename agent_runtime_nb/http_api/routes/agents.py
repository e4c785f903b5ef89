"""The agents that can be talked to."""

from fastapi import APIRouter, Response

from agent_runtime_nb.http_api.lookup import find_agent
from agent_runtime_nb.http_api.schemas import AgentInfo, AgentList
from agent_runtime_nb.http_api.turn_response import json_response
from agent_runtime_nb.runtime_directory import RuntimeDirectory


def agent_routes(directory: RuntimeDirectory) -> APIRouter:
    """The routes of this module."""
    routes, handlers = APIRouter(), _AgentRoutes(directory)
    routes.add_api_route("/agents", handlers.list_agents, response_model=AgentList)
    one = "/agents/{agent_name}"
    routes.add_api_route(one, handlers.read_agent, response_model=AgentInfo)
    return routes


class _AgentRoutes:
    def __init__(self, directory: RuntimeDirectory) -> None:
        self._directory = directory

    async def list_agents(self) -> Response:
        """The agents that can be talked to, by name."""
        known = await self._directory.actor_types()
        agents = [{"name": one.name, "description": one.description} for one in known]
        return json_response({"agents": agents})

    async def read_agent(self, agent_name: str) -> Response:
        """One agent."""
        found = await find_agent(self._directory, agent_name)
        return json_response({"name": found.name, "description": found.description})
