"""The API over a real runtime on its own loop in a thread, with real agents."""

import asyncio
import json
import threading

import httpx2
import pytest

from agent_runtime_nb.runtime_abstractions import ActorId, IActor, IActorRuntimeContext
from agent_runtime_nb.supervision import RestartPolicy
from tests.http_api.served import ServedRuntime, says


def test_an_agent_answers_and_keeps_its_conversation(served: ServedRuntime):
    first = served.http.post("/agents/echo/run", json=says("one")).json()
    second = served.http.post("/agents/echo/run", json=says("two")).json()

    assert first["messages"][0]["role"] == "assistant"
    assert first["messages"][0]["content"] == "Echo: one"
    assert first["messages"][0]["message_id"]
    assert second["messages"][0]["content"] == "Echo: two"
    view = served.call(served.runtime.read_actor(ActorId("echo", "http-echo")))
    assert len(view.turns) == 2
    assert len(view.turns[0].entries) == 2


def test_a_tool_call_is_in_the_answer(served: ServedRuntime):
    answer = served.http.post("/agents/scripted/run", json=says("weather in Paris?"))

    roles = [message["role"] for message in answer.json()["messages"]]
    assert roles == ["assistant", "tool", "assistant"]


def test_the_same_key_gives_the_same_answer_once_and_another_body_is_refused(
    served: ServedRuntime,
):
    key = {"Idempotency-Key": "k1"}

    first = served.http.post("/agents/echo/run", json=says("one"), headers=key)
    again = served.http.post("/agents/echo/run", json=says("one"), headers=key)
    other = served.http.post("/agents/echo/run", json=says("two"), headers=key)

    assert first.status_code == 200
    assert again.json() == first.json()
    assert other.status_code == 422
    assert other.json()["type"].endswith(":message-id-reused")


def test_an_unknown_agent_is_404_and_names_are_exact(served: ServedRuntime):
    for name in ("nope", "ECHO"):
        answer = served.http.post(f"/agents/{name}/run", json=says("x"))

        assert answer.status_code == 404
        assert "echo, gated, scripted" in answer.json()["detail"]


def test_updates_arrive_while_the_turn_runs(served: ServedRuntime):
    with served.http.stream(
        "POST", "/agents/gated/run", json={**says("go"), "stream": True}
    ) as stream:
        chunks = stream.iter_text()
        seen = ""
        while "first " not in seen:
            seen += next(chunks)
        served.open_gate()
        seen += "".join(chunks)

    last = seen.strip().split("\n\n")[-1].split("\n")
    assert last[1] == "event: response"
    final = json.loads(last[2].removeprefix("data: "))
    assert final["status"] == "completed"
    assert final["messages"][0]["content"] == "first second"


def test_a_reader_that_leaves_does_not_cancel_the_turn(served: ServedRuntime):
    key = {"Idempotency-Key": "k1"}
    with served.http.stream(
        "POST",
        "/agents/gated/run",
        json={**says("go"), "stream": True},
        headers=key,
    ) as stream:
        chunks = stream.iter_text()
        seen = ""
        while "first " not in seen:
            seen += next(chunks)

    served.open_gate()
    answer = served.http.post("/agents/gated/run", json=says("go"), headers=key)

    assert answer.json()["status"] == "completed"
    assert answer.json()["messages"][0]["content"] == "first second"


def test_a_stream_that_broke_goes_on_without_loss_or_repeat(served: ServedRuntime):
    key = {"Idempotency-Key": "k1"}
    body = {**says("go"), "stream": True}
    with served.http.stream(
        "POST", "/agents/gated/run", json=body, headers=key
    ) as stream:
        chunks = stream.iter_text()
        seen = ""
        while "first " not in seen or not seen.endswith("\n\n"):
            seen += next(chunks)
    last_id = [line[4:] for line in seen.split("\n") if line.startswith("id: ")][-1]

    with served.http.stream(
        "POST",
        "/agents/gated/run",
        json=body,
        headers={**key, "Last-Event-ID": last_id},
    ) as stream:
        chunks = stream.iter_text()
        seen += next(chunks)
        served.open_gate()
        seen += "".join(chunks)

    said = [
        content["text"]
        for line in seen.split("\n")
        if line.startswith("data: ") and "progress" in (data := json.loads(line[6:]))
        for content in data["progress"].get("contents", ())
        if content["type"] == "text"
    ]
    assert said == ["first ", "second"]


def test_a_stream_resumed_after_the_turns_end_gets_what_it_missed(
    served: ServedRuntime,
):
    key = {"Idempotency-Key": "k1"}
    body = {**says("go"), "stream": True}
    served.open_gate()
    whole = served.http.post("/agents/gated/run", json=body, headers=key).text

    rest = served.http.post(
        "/agents/gated/run", json=body, headers={**key, "Last-Event-ID": "0"}
    ).text

    assert '"first "' in whole
    assert '"first "' not in rest
    assert '"second"' in rest
    assert rest.split("event: response")[1] == whole.split("event: response")[1]


def test_a_running_request_can_be_seen_and_cancelled(served: ServedRuntime):
    key = {"Idempotency-Key": "k1"}
    with served.http.stream(
        "POST",
        "/agents/gated/run",
        json={**says("go"), "conversation_id": "a/b c", "stream": True},
        headers=key,
    ) as stream:
        chunks = stream.iter_text()
        seen = ""
        while "first " not in seen:
            seen += next(chunks)
        path = "/agents/gated/conversations/a%2Fb%20c/requests/k1"
        running = served.http.get(path).json()
        cancelled = served.http.post(path + "/cancel").json()
        seen += "".join(chunks)
    ended = served.http.get(path).json()

    assert running["status"] == "pending"
    assert cancelled == {"cancelled": True}
    assert '"status":"cancelled"' in seen
    assert ended["status"] == "cancelled"
    assert ended["messages"][0]["content"] == "first "


def test_an_agent_that_raises_is_502_and_the_next_run_works(served: ServedRuntime):
    served.open_gate()

    failed = served.http.post("/agents/gated/run", json=says("fail"))
    after = served.http.post("/agents/gated/run", json=says("go"))

    assert failed.status_code == 502
    assert failed.json()["error"]["type"] == "ValueError"
    assert "Traceback" not in failed.text
    assert after.json()["messages"][0]["content"] == "first second"


def test_a_busy_conversation_can_be_refused(served: ServedRuntime):
    url = "/agents/gated/run"
    with served.http.stream("POST", url, json={**says("go"), "stream": True}) as stream:
        chunks = stream.iter_text()
        next(chunks)
        refused = served.http.post(url, json={**says("x"), "when_busy": "reject"})
        served.open_gate()
        "".join(chunks)

    assert refused.status_code == 409
    assert refused.json()["type"].endswith(":actor-busy")


def test_a_deadline_is_504(served: ServedRuntime):
    answer = served.http.post("/agents/gated/run", json={**says("go"), "timeout": 0.2})

    assert answer.status_code == 504


def test_a_turn_that_the_actor_finds_malformed_is_422_and_names_the_field(
    served: ServedRuntime,
):
    part = {"type": "no-such-content"}

    answer = served.http.post(
        "/agents/echo/run", json={"messages": [{"role": "user", "content": [part]}]}
    )

    assert answer.status_code == 422
    assert "content" in answer.json()["detail"]


def test_health_answers_and_says_so_while_the_loop_is_blocked(served: ServedRuntime):
    with served.blocked():
        blocked = served.http.get("/health")
    free = served.http.get("/health")

    assert blocked.json()["status"] == "blocked"
    assert free.json()["status"] == "ok"


def test_health_is_degraded_while_an_actor_is_in_quarantine(served: ServedRuntime):
    def broken(_context: IActorRuntimeContext) -> IActor:
        raise ValueError("no key")

    served.runtime.register_actor_type(
        "broken", broken, restart=RestartPolicy(max_restarts=0)
    )
    served.http.post("/agents/broken/run", json=says("x"))

    degraded = served.http.get("/health")
    served.call(served.runtime.revive(ActorId("broken", "http-broken")))
    revived = served.http.get("/health")

    assert degraded.status_code == 200
    assert degraded.json()["status"] == "degraded"
    assert degraded.json()["detail"].endswith("broken/http-broken")
    assert revived.json()["status"] == "ok"


def test_a_run_waits_for_a_blocked_loop(served: ServedRuntime):
    answers: list[httpx2.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(
            served.http.post("/agents/echo/run", json=says("one"))
        )
    )

    with served.blocked():
        asking.start()
        served.http.get("/health")
    asking.join(20)

    assert answers[0].json()["messages"][0]["content"] == "Echo: one"


def test_a_stopped_runtime_is_503(served: ServedRuntime):
    served.call(served.runtime.stop(drain=0))

    run = served.http.post("/agents/echo/run", json=says("x"))
    health = served.http.get("/health")

    assert run.status_code == 503
    assert run.json()["type"].endswith(":not-running")
    assert health.status_code == 503
    assert health.json()["status"] == "stopped"


def test_many_conversations_answer_at_once(served: ServedRuntime):
    async def ask_all() -> list[httpx2.Response]:
        headers = {"Authorization": f"Bearer {served.server.token}"}
        async with httpx2.AsyncClient(
            base_url=served.server.url, headers=headers, timeout=30, trust_env=False
        ) as http:
            return await asyncio.gather(
                *(
                    http.post(
                        "/agents/echo/run",
                        json={**says(f"{n}"), "conversation_id": f"c{n}"},
                    )
                    for n in range(100)
                )
            )

    answers = asyncio.run(ask_all())

    texts = [answer.json()["messages"][0]["content"] for answer in answers]
    assert texts == [f"Echo: {n}" for n in range(100)]


@pytest.mark.parametrize(
    "value",
    [
        "[" * 900 + "]" * 900,
        "[" * 5000 + "]" * 5000,
        "9" * 30,
        "9" * 5000,
        "NaN",
        r'"\ud800"',
    ],
    ids=["deep", "very deep", "large", "very large", "nan", "surrogate"],
)
def test_json_that_cannot_be_stored_is_the_callers_error(
    served: ServedRuntime, value: str
):
    template = (
        '{"messages": [{"role": "user", "content": [{"type": "text", "x": VALUE}]}]}'
    )
    body = template.replace("VALUE", value)

    answer = served.http.post(
        "/agents/echo/run",
        content=body.encode(),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
