"""Conversations: list, read, name, fork, export, import, delete; dead letters."""

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Body, Query, Request, Response

from agent_runtime_nb.conversations.export import to_markdown, to_notebook
from agent_runtime_nb.conversations.json_format import (
    FORMAT,
    VERSION,
    import_conversation,
    to_json,
)
from agent_runtime_nb.conversations.reading import Conversation, read_conversation
from agent_runtime_nb.exceptions import InvalidRequest, SchemaTooNew, UnknownActorType
from agent_runtime_nb.http_api.lookup import find_actor, path_of
from agent_runtime_nb.http_api.problems import Problem, Refused, public_data
from agent_runtime_nb.http_api.schemas import (
    ConversationBody,
    ConversationList,
    ConversationName,
    ConversationSummary,
    DeadLetterList,
    ForkRequest,
    ReviveResult,
)
from agent_runtime_nb.http_api.turn_response import json_response
from agent_runtime_nb.runtime_abstractions import ActorId, JsonValue, TurnView
from agent_runtime_nb.runtime_directory import (
    ActorView,
    ConversationInfo,
    RuntimeDirectory,
)

_Limit = Annotated[int, Query(ge=1, le=200, description="At most so many.")]
_After = Annotated[str | None, Query(description="`next` of the page before.")]
_Position = Annotated[
    int | None, Query(ge=0, lt=2**53, description="Turns before this position.")
]
_Exported = Literal["json", "markdown", "notebook"]

_WRITERS: dict[_Exported, tuple[str, str, Callable[[Conversation], Any]]] = {
    "json": ("application/json", "json", to_json),
    "markdown": ("text/markdown; charset=utf-8", "md", to_markdown),
    "notebook": ("application/x-ipynb+json", "ipynb", to_notebook),
}

_DOCUMENT: dict[str, Any] = {
    "format": FORMAT,
    "version": VERSION,
    "agent": "echo",
    "conversation": "c1",
    "name": "Greetings",
    "turns": [],
}


def conversation_routes(directory: RuntimeDirectory) -> APIRouter:
    """The routes of this module; the ones of a request must be added before."""
    routes, handlers = APIRouter(), _ConversationRoutes(directory)
    add = routes.add_api_route
    every = "/agents/{agent_name}/conversations"
    one = every + "/{conversation_id:path}"
    posts: dict[str, Any] = {"methods": ["POST"]}
    made: dict[str, Any] = {
        **posts,
        "status_code": 201,
        "response_model": ConversationSummary,
    }
    add(every, handlers.list, response_model=ConversationList)
    add(every, handlers.take, **made)
    add(
        "/agents/{agent_name}/dead-letters",
        handlers.dead_letters,
        response_model=DeadLetterList,
    )
    kinds: dict[str, Any] = {kind: {} for kind, _, _ in _WRITERS.values()}
    add(
        one + "/export",
        handlers.export,
        response_class=Response,
        responses={200: {"content": kinds}},
    )
    add(one + "/fork", handlers.fork, **made)
    add(one + "/revive", handlers.revive, **posts, response_model=ReviveResult)
    add(one, handlers.read, response_model=ConversationBody)
    add(one, handlers.rename, methods=["PATCH"], response_model=ConversationSummary)
    add(
        one,
        handlers.delete,
        methods=["DELETE"],
        status_code=204,
        response_class=Response,
    )
    return routes


class _ConversationRoutes:
    def __init__(self, directory: RuntimeDirectory) -> None:
        self._directory = directory

    async def _find(self, agent_name: str, conversation_id: str) -> ActorId:
        return await find_actor(self._directory, agent_name, conversation_id)

    async def list(
        self, agent_name: str, after: _After = None, limit: _Limit = 50
    ) -> Response:
        """The stored conversations of an agent, in the order of their ids, in pages."""
        await self._find(agent_name, "-")
        page = await self._directory.list_conversations(
            agent_name, after=after, limit=limit
        )
        if not page.items:
            await self._check_name(agent_name)
        shown = [_summary(info) for info in page.items]
        return json_response({"conversations": shown, "next": page.next})

    async def _check_name(self, agent_name: str) -> None:
        known = [one.name for one in await self._directory.actor_types()]
        if agent_name not in known:
            raise UnknownActorType(agent_name, known)

    async def dead_letters(
        self, agent_name: str, after: _After = None, limit: _Limit = 50
    ) -> Response:
        """Requests that are not begun again, and why."""
        await self._find(agent_name, "-")
        page = await self._directory.dead_letters(agent_name, after=after, limit=limit)
        shown = [
            {
                "conversation_id": one.actor_id.instance_id,
                "request_id": one.message_id,
                "attempts": one.attempts,
                "at": one.at,
                "reason": one.reason,
            }
            for one in page.items
        ]
        return json_response({"dead_letters": shown, "next": page.next})

    async def read(
        self,
        agent_name: str,
        conversation_id: str,
        before: _Position = None,
        limit: _Limit = 50,
    ) -> Response:
        """A page of a conversation, the newest turns if `before` is not given."""
        actor_id = await self._find(agent_name, conversation_id)
        view = await self._directory.read_actor(actor_id, before=before, limit=limit)
        if before is None and _is_empty(view):
            raise _not_stored(actor_id)
        return json_response(
            {
                **_summary(view.info or ConversationInfo(actor_id)),
                "turns": [_turn(turn) for turn in view.turns],
                "running": None if view.running is None else _turn(view.running),
                "waiting": [_turn(turn) for turn in view.waiting],
                "cursor": str(view.cursor),
                "more": view.more,
            }
        )

    async def rename(
        self, agent_name: str, conversation_id: str, body: ConversationName
    ) -> Response:
        """Give a conversation a name for people, or take it away."""
        actor_id = await self._find(agent_name, conversation_id)
        await self._directory.rename(actor_id, body.name)
        return json_response(await self._summary_of(actor_id))

    async def _summary_of(self, actor_id: ActorId) -> dict[str, JsonValue]:
        view = await self._directory.read_actor(actor_id, limit=1)
        return _summary(view.info or ConversationInfo(actor_id))

    async def delete(self, agent_name: str, conversation_id: str) -> Response:
        """Cancel what runs or waits and delete all that is stored of it."""
        actor_id = await self._find(agent_name, conversation_id)
        if not await self._directory.delete_actor(actor_id):
            raise _not_stored(actor_id)
        return Response(status_code=204)

    async def fork(
        self,
        request: Request,
        agent_name: str,
        conversation_id: str,
        body: ForkRequest | None = None,
    ) -> Response:
        """Make a new conversation that begins as this one."""
        actor_id = await self._find(agent_name, conversation_id)
        wanted = body or ForkRequest(conversation_id=None)
        to = None
        if wanted.conversation_id is not None:
            to = await self._find(agent_name, wanted.conversation_id)
        if wanted.at is None and wanted.before is None:
            await self._check_exists(actor_id)
        made = await self._directory.fork(
            actor_id, at=wanted.at, before=wanted.before, to=to
        )
        return await self._created(request, made)

    async def _check_exists(self, actor_id: ActorId) -> None:
        if _is_empty(await self._directory.read_actor(actor_id, limit=1)):
            raise _not_stored(actor_id)

    async def _created(self, request: Request, actor_id: ActorId) -> Response:
        headers = {"Location": path_of(request, actor_id)}
        return json_response(await self._summary_of(actor_id), 201, headers)

    async def revive(self, agent_name: str, conversation_id: str) -> Response:
        """End the quarantine of a conversation that failed too often."""
        actor_id = await self._find(agent_name, conversation_id)
        return json_response({"revived": await self._directory.revive(actor_id)})

    async def export(
        self,
        agent_name: str,
        conversation_id: str,
        format: _Exported = "json",
    ) -> Response:
        """The whole conversation as one document; `json` can be imported again."""
        actor_id = await self._find(agent_name, conversation_id)
        found = await read_conversation(self._directory, actor_id)
        if not found.turns:
            raise _not_stored(actor_id)
        media_type, suffix, write = _WRITERS[format]
        written = write(found)
        content = written if isinstance(written, str) else orjson.dumps(written)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", actor_id.instance_id)[:80]
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name}.{suffix}"',
        }
        return Response(content, 200, headers, media_type=media_type)

    async def take(
        self,
        request: Request,
        agent_name: str,
        body: Annotated[dict[str, Any], Body(examples=[_DOCUMENT])],
        conversation_id: Annotated[
            str | None, Query(description="As it was called, if not given.")
        ] = None,
    ) -> Response:
        """Import what was exported as JSON, as a new conversation."""
        await self._check_name(agent_name)
        name = conversation_id or body.get("conversation")
        if not isinstance(name, str):
            raise InvalidRequest("conversation", "must be a text")
        to = await self._find(agent_name, name)
        try:
            made = await import_conversation(self._directory, body, to=to)
        except SchemaTooNew as error:
            raise InvalidRequest("version", str(error)) from error
        return await self._created(request, made)


def _summary(info: ConversationInfo) -> dict[str, JsonValue]:
    return {
        "agent_name": info.actor_id.type_name,
        "conversation_id": info.actor_id.instance_id,
        "name": info.name,
        "parent": None if info.parent is None else info.parent.instance_id,
        "forked_at": info.forked_at,
    }


def _turn(turn: TurnView) -> dict[str, JsonValue]:
    return {**asdict(turn), "data": public_data(turn.data)}


def _is_empty(view: ActorView) -> bool:
    named = view.info is not None and (view.info.name or view.info.parent)
    return not (view.turns or view.running or view.waiting or named)


def _not_stored(actor_id: ActorId) -> Refused:
    detail = f"nothing is stored of {actor_id}"
    more = {"retryable": False}
    return Refused(Problem(404, "conversation-not-found", detail, more))
