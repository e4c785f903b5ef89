"""Each rule about the package's shape finds what breaks it; see tools/architecture.py."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools import architecture

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def package(tmp_path: Path) -> Write:
    """Writes a small package: file below its root -> source."""

    def write(files: dict[str, str]) -> Path:
        root = tmp_path / architecture.PACKAGE
        for name, source in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return root

    return write


def rules_of(root: Path) -> list[str]:
    return [line.rpartition("[")[2].rstrip("]") for line in found_in(root)]


def found_in(root: Path) -> list[str]:
    return architecture.findings(root, {})


def test_the_package_has_its_shape():
    assert architecture.findings(architecture.ROOT, architecture.KNOWN) == []


def test_a_sound_package_breaks_no_rule(package: Write):
    root = package(
        {
            "exceptions.py": "class Wrong(Exception): pass",
            "_base/tasks.py": "from agent_runtime_nb.exceptions import Wrong",
            "runtime/cell.py": "class Cell:\n    def run(self): self.task = 1",
        }
    )

    assert found_in(root) == []


def test_a_private_module_of_the_root_is_found(package: Write):
    root = package({"_helpers.py": ""})

    assert rules_of(root) == ["root"]


def test_a_module_too_many_in_the_root_is_found(package: Write):
    most = architecture.MOST_ROOT_MODULES

    assert found_in(package({f"m{n}.py": "" for n in range(most)})) == []
    assert rules_of(package({"one_more.py": ""})) == ["root"]


def test_a_chain_of_packages_that_is_too_long_is_found(package: Write):
    def chain(length: int) -> dict[str, str]:
        below = {
            f"p{n}/m.py": f"from agent_runtime_nb.p{n + 1}.m import x"
            for n in range(length - 1)
        }
        return {**below, f"p{length - 1}/m.py": "x = 1"}

    assert found_in(package(chain(architecture.LONGEST_CHAIN))) == []
    assert rules_of(package(chain(architecture.LONGEST_CHAIN + 1))) == ["chain"]


def test_packages_that_import_each_other_are_named(package: Write):
    root = package(
        {
            "a/m.py": "from agent_runtime_nb.b import m",
            "b/m.py": "from agent_runtime_nb.a import m",
        }
    )

    with pytest.raises(SystemExit, match="a -> b -> a"):
        found_in(root)


@pytest.mark.parametrize(
    "line",
    ["import agent_runtime_nb.b.m", 'm = load("agent_runtime_nb.b.m", "extra")'],
)
def test_every_way_to_import_counts_for_a_cycle(package: Write, line: str):
    root = package({"a/m.py": line, "b/m.py": "from agent_runtime_nb.a import m"})

    with pytest.raises(SystemExit, match="a -> b -> a"):
        found_in(root)


@pytest.mark.parametrize("name", ["gone", "gone.x", "a.gone"])
@pytest.mark.parametrize("function", ["load", "extras.load", "import_module"])
def test_a_name_that_is_loaded_and_does_not_exist_is_found(
    package: Write, function: str, name: str
):
    root = package({"a/m.py": f'{function}("agent_runtime_nb.{name}", "http")'})

    assert rules_of(root) == ["loads"]


@pytest.mark.parametrize("line", ["import typer", "from pydantic.types import Json"])
def test_a_waist_that_needs_more_than_the_standard_library_is_found(
    package: Write, line: str
):
    source = "import asyncio\nfrom collections.abc import Iterator\n"

    assert found_in(package({"exceptions.py": source, "cli.py": line})) == []
    assert rules_of(package({"exceptions.py": source + line})) == ["waists"]


def test_a_curated_name_that_a_module_takes_is_found(package: Write):
    fine = "from agent_runtime_nb import __version__, exceptions"
    root = package({"a/m.py": fine, "exceptions.py": ""})

    assert found_in(root) == []
    assert rules_of(package({"b/m.py": "from agent_runtime_nb import start"})) == [
        "curated"
    ]


def test_a_map_that_does_not_match_its_folder_is_found(package: Write):
    text = '"""A package.\n\none.py  the first\ntwo.py  the second; three.py\n"""'
    root = package({"a/__init__.py": text, "a/one.py": "", "a/other.py": ""})

    said = "".join(found_in(root))
    assert rules_of(root) == ["maps"] * 3
    assert "other.py is not listed" in said
    assert "two.py does not exist" in said
    assert "three.py does not exist" in said


def test_a_class_name_that_stands_twice_is_found(package: Write):
    root = package({"a/one.py": "class Same: pass", "b/two.py": "class Same: pass"})

    assert rules_of(root) == ["names"]


ABSTRACT = """
from abc import ABC, abstractmethod
class Half(ABC):
    @abstractmethod
    def rest(self): ...
"""


def test_an_abstract_method_below_the_root_is_found(package: Write):
    assert rules_of(package({"runtime/half.py": ABSTRACT})) == ["abstract"]


@pytest.mark.parametrize(
    "method",
    [
        "@abc.abstractproperty\n    def rest(self): ...",
        "def rest(self):\n        raise NotImplementedError",
        "def rest(self):\n        'What is left.'\n        raise NotImplementedError(1)",
    ],
)
def test_a_method_that_subclasses_must_bring_is_abstract(package: Write, method: str):
    root = package({"runtime/half.py": f"class Half:\n    {method}"})

    assert rules_of(root) == ["abstract"]


def test_a_method_that_refuses_some_arguments_is_not_abstract(package: Write):
    source = """
class Whole:
    def rest(self, some):
        if some:
            raise NotImplementedError
"""

    assert found_in(package({"runtime/whole.py": source})) == []


def test_an_interface_of_the_root_may_be_abstract(package: Write):
    assert found_in(package({"interfaces.py": ABSTRACT})) == []


PROTOCOL = """
from typing import Protocol
class Goes(Protocol):
    def go(self): ...
class Car:
    def go(self): ...
"""


def test_a_protocol_with_one_implementation_is_found(package: Write):
    assert rules_of(package({"runtime/goes.py": PROTOCOL})) == ["protocols"]


def test_a_protocol_of_a_plain_class_attribute_has_an_implementation(package: Write):
    source = """
from typing import Protocol
class Named(Protocol):
    name: str
class Car:
    name = "car"
"""

    assert rules_of(package({"runtime/named.py": source})) == ["protocols"]


@pytest.mark.parametrize(
    "more", ["class Cart(Car): pass", "class Bus:\n    def go(self): ..."]
)
def test_a_protocol_with_two_implementations_is_none_to_find(package: Write, more: str):
    assert found_in(package({"runtime/goes.py": PROTOCOL + more})) == []


def test_a_base_of_the_same_name_from_elsewhere_is_no_implementation(package: Write):
    root = package(
        {
            "runtime/goes.py": PROTOCOL,
            "http_api/wire.py": "from asyncio import Goes\nclass Wire(Goes): pass",
        }
    )

    assert rules_of(root) == ["protocols"]


@pytest.mark.parametrize("write", ["turn.state = 1", "del turn.state"])
def test_a_field_that_another_module_of_the_runtime_writes_is_found(
    package: Write, write: str
):
    root = package(
        {
            "runtime/turn.py": "class Turn:\n    def __init__(self): self.state = 0",
            "runtime/cell.py": f"def end(turn): {write}",
        }
    )

    assert rules_of(root) == ["owners"]
    assert "turn.state belongs to runtime.turn" in found_in(root)[0]


def test_what_is_known_and_mended_must_leave_the_list(package: Write):
    root = package({"exceptions.py": ""})
    known = {"names": frozenset({"Same"})}

    assert "Same no longer breaks the rule" in architecture.findings(root, known)[0]
