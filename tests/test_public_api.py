"""The names at the root of the package, and what importing it costs."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import agent_runtime_nb

ROOT = Path(agent_runtime_nb.__file__).parent

EXPORTED = {
    "ActorBusy",
    "ActorId",
    "ActorMessage",
    "ActorMessageType",
    "ActorOwnedElsewhere",
    "ActorQuarantined",
    "ActorRequestMessage",
    "ActorResponseHandle",
    "ActorResponseMessage",
    "ActorStartFailed",
    "ActorSummary",
    "ActorTypeInfo",
    "ActorView",
    "AgentActor",
    "AgentNameTaken",
    "AgentProxy",
    "AgentRuntimeError",
    "Cursor",
    "DeadLetter",
    "DeadlineExceeded",
    "DeadlockDetected",
    "EchoAgent",
    "Health",
    "HttpActorClient",
    "IActor",
    "IActorClient",
    "IActorRuntimeContext",
    "IActorStateStorage",
    "InMemoryStateStorage",
    "InProcessActorClient",
    "InProcessActorRuntime",
    "InvalidActorId",
    "InvalidAgent",
    "InvalidRequest",
    "MailboxFull",
    "MessageIdReused",
    "MissingExtra",
    "MockAIAgent",
    "NotCompleted",
    "NotJson",
    "NotRunning",
    "OutsideTurn",
    "RemoteError",
    "RequestStatus",
    "RestartPolicy",
    "RuntimeDirectory",
    "RuntimeSettings",
    "SqliteStateStorage",
    "StorageError",
    "TurnFailed",
    "TurnUpdate",
    "TurnView",
    "UnknownActorType",
    "__version__",
    "scripted_agent",
    "start",
}

HEAVY = {
    "IPython",
    "agent_framework",
    "anywidget",
    "fastapi",
    "ipywidgets",
    "openai",
    "orjson",
    "pydantic",
    "ray",
    "sqlite3",
    "starlette",
}

IMPORT_LIMIT = 0.150  # seconds that the import may add


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stub_names() -> dict[str, str]:
    """The names that `__init__.pyi` gives, and the modules that it takes them from."""
    tree = ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8"))
    names = {
        alias.asname or "": node.module or ""
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    declared = {
        node.target.id: agent_runtime_nb.__name__
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return names | declared


def test_exactly_the_curated_names_are_exported() -> None:
    exported: list[str] = vars(agent_runtime_nb)["__all__"]

    assert sorted(exported) == sorted(EXPORTED)


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_an_exported_name_is_the_one_of_the_module_that_its_type_comes_from(
    name: str,
) -> None:
    value = getattr(agent_runtime_nb, name)

    module = importlib.import_module(stub_names()[name])

    assert value is getattr(module, name)
    assert getattr(agent_runtime_nb, name) is value


def test_the_type_stub_has_the_exported_names_and_no_others() -> None:
    assert set(stub_names()) == EXPORTED


def test_every_exported_class_and_function_says_what_it_is() -> None:
    silent = [
        name
        for name in EXPORTED - {"__version__"}
        if not (getattr(agent_runtime_nb, name).__doc__ or "").strip()
    ]

    assert silent == []


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    name = "Nothing"

    with pytest.raises(AttributeError, match=r"'agent_runtime_nb' has no .* 'Nothing'"):
        getattr(agent_runtime_nb, name)


def test_dir_shows_the_exported_names_before_they_are_loaded() -> None:
    shown = json.loads(
        python(
            "import agent_runtime_nb, json; print(json.dumps(dir(agent_runtime_nb)))"
        )
    )

    assert set(shown) >= EXPORTED


def test_importing_the_package_loads_nothing_heavy_and_nothing_of_its_own() -> None:
    loaded = json.loads(
        python("import agent_runtime_nb, json, sys; print(json.dumps([*sys.modules]))")
    )

    assert HEAVY & {name.partition(".")[0] for name in loaded} == set()
    assert [name for name in loaded if name.startswith("agent_runtime_nb.")] == []


def test_the_core_needs_no_agent_framework_no_notebook_and_no_server() -> None:
    loaded = json.loads(
        python(
            "import json, sys; from agent_runtime_nb import (ActorId,"
            " InMemoryStateStorage, InProcessActorClient, InProcessActorRuntime);"
            " print(json.dumps([*sys.modules]))"
        )
    )

    roots = {name.partition(".")[0] for name in loaded}
    assert roots & (HEAVY - {"orjson"}) == set()


def test_importing_the_package_adds_less_than_the_limit() -> None:
    # The processor's time, of which another process on a busy machine takes none.
    timed = "import time; t = time.process_time(); {}; print(time.process_time() - t)"

    bare = [float(python(timed.format("pass"))) for _ in range(5)]
    ours = [float(python(timed.format("import agent_runtime_nb"))) for _ in range(5)]

    assert min(ours) - min(bare) < IMPORT_LIMIT


FIXED = {
    "agent_runtime_nb.agent_actor": {"AgentActor"},
    "agent_runtime_nb.http_api": {"EmbeddedServer", "create_app"},
    "agent_runtime_nb.http_api.__main__": {"main"},
    "agent_runtime_nb.runtime": {
        "InMemoryStateStorage",
        "InProcessActorClient",
        "InProcessActorContext",
        "InProcessActorRuntime",
    },
    "agent_runtime_nb.runtime_abstractions": {
        "ActorId",
        "ActorMessage",
        "ActorMessageType",
        "ActorRequestMessage",
        "ActorResponseHandle",
        "ActorResponseMessage",
        "IActor",
        "IActorClient",
        "IActorRuntimeContext",
        "RequestStatus",
    },
}
"""Names that people import from these modules, wherever they are defined."""


@pytest.mark.parametrize("module", sorted(FIXED))
def test_names_that_are_fixed_are_imported_from_where_they_always_were(
    module: str,
) -> None:
    found = importlib.import_module(module)

    assert [name for name in sorted(FIXED[module]) if not hasattr(found, name)] == []


@pytest.mark.parametrize("name", sorted(FIXED["agent_runtime_nb.runtime"]))
def test_the_names_of_the_runtime_are_those_of_the_root(name: str) -> None:
    runtime = importlib.import_module("agent_runtime_nb.runtime")

    value = getattr(runtime, name)

    assert getattr(agent_runtime_nb, name, value) is value


def test_an_unknown_name_of_the_runtime_is_an_attribute_error_that_names_it() -> None:
    runtime = importlib.import_module("agent_runtime_nb.runtime")
    name = "Nothing"

    with pytest.raises(AttributeError, match=r"runtime' has no attribute 'Nothing'"):
        getattr(runtime, name)
