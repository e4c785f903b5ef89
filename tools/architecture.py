"""Holds the package to its shape: rules that no linter knows, and figures of it.

    python tools/architecture.py            what breaks a rule, as file:line: sentence
    python tools/architecture.py --figures  what the shape measures today

Layers and cycles are import-linter's, in pyproject.toml. Here are:

- the root has at most 20 modules and none of them is private;
- from the root to the errors at most 9 packages (or root modules) import one another;
- a module that is loaded by a name in the text (`load("…")`) exists, and no cycle of
  imports goes through such a name;
- the waists and the errors import the standard library alone;
- no module imports a curated name of the root, but what it means from its own module;
- the docstring of a package, if it lists modules, lists all of them and no other;
- a class name exists once in the package;
- an abstract method, or one that only raises NotImplementedError, belongs to an
  interface that others implement: one of the root's modules or of `testing`;
- a Protocol has no implementation here (others bring theirs) or at least two;
- what an object of `runtime/` keeps is written by the module of its class alone.

What broke a rule when the rule came stands in `KNOWN`, and may only become less: an
entry that is no longer true is an error, too.
"""

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "agent_runtime_nb"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE

MOST_ROOT_MODULES = 20
LONGEST_CHAIN = 9

# A command's composition root, put there by the command's name.
IGNORED_IMPORTS = frozenset({("http_api.__main__", "hosting")})

WAISTS = frozenset(
    {
        "exceptions",
        "runtime_abstractions",
        "runtime_directory",
        "runtime_events",
        "storage_abstractions",
    }
)

LOADERS = frozenset({"load", "import_module"})
"""The functions that import a module by its name."""

VALUES = frozenset({"change", "record", "end"})
"""How variables are called that hold what a storage takes: values, owned by nobody."""

KNOWN: Mapping[str, frozenset[str]] = {
    "names": frozenset(),
    "abstract": frozenset(
        {
            "Ending",
            "FreezableWidget",
            "LiveWidget",
            "LocalDirectory",
            "Ownership",
            "RedisClient",
            "RedisStep",
            "_SampleAgent",
        }
    ),
    "protocols": frozenset(
        {
            "ActivationOwner",
            "Asking",
            "CellServices",
            "ClientRuntime",
            "ReportServices",
        }
    ),
    "owners": frozenset(
        {
            "runtime.cell: actor",
            "runtime.cell: attempts",
            "runtime.cell: cancel_reason",
            "runtime.cell: deadline",
            "runtime.cell: started_at",
            "runtime.cell: writing_since",
            "runtime.ending: attempts",
            "runtime.ending: cancel_reason",
            "runtime.ending: committing",
            "runtime.ending: last_status",
            "runtime.ending: latency",
            "runtime.ending: writing_since",
            "runtime.forks: position",
            "runtime.intake: accepted_at",
            "runtime.intake: attempts",
            "runtime.intake: deadline",
            "runtime.intake: writing_since",
            "runtime.admission: waits",
            "runtime.ownership: attempts",
            "runtime.ownership: deadline",
            "runtime.ownership: earlier_attempts",
            "runtime.reporter: log",
            "runtime.runtime: client",
            "runtime.runtime: log",
            "runtime.runtime: submit",
            "runtime.runtime: take_over",
        }
    ),
}
"""What may break a rule until it is mended: rule -> the names that break it."""


@dataclass
class Module:
    """One file of the package: its dotted name below the package, and its tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def top(self) -> str:
        """The package or module of the root that it belongs to."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Finding:
    """One breach: which rule, who (as `KNOWN` names it), where, and a sentence."""

    rule: str
    who: str
    path: Path
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence} [{self.rule}]"


@dataclass
class ClassFacts:
    """What is read of a class: its members, those of its own making, and its kind."""

    name: str
    module: Module
    node: ast.ClassDef
    bases: tuple[str, ...]
    members: set[str] = field(default_factory=set[str])
    fields: set[str] = field(default_factory=set[str])
    abstract: list[str] = field(default_factory=list[str])

    @property
    def is_protocol(self) -> bool:
        """Whether it is a Protocol by its own declaration."""
        return "Protocol" in self.bases


def read_modules(root: Path) -> list[Module]:
    """Every module of the package, by name."""
    modules: list[Module] = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules.append(Module(name, path, tree))
    return modules


# --- the root -------------------------------------------------------------------------


def check_root(modules: list[Module]) -> Iterator[Finding]:
    """At most 20 modules, none private."""
    own = [one for one in modules if one.name and "." not in one.name]
    files = [one for one in own if one.path.name != "__init__.py"]
    for one in files:
        if one.name.startswith("_") and one.name != "__main__":
            sentence = f"{one.name} is private: put it into the package of its subject"
            yield Finding("root", one.name, one.path, 1, sentence)
    if len(files) > MOST_ROOT_MODULES:
        sentence = f"{len(files)} modules in the root, {MOST_ROOT_MODULES} at most"
        yield Finding("root", "modules", files[0].path.parent, 1, sentence)


# --- chains ---------------------------------------------------------------------------


def imports_of(module: Module, names: set[str]) -> Iterator[str]:
    """The modules of the package that a module imports, by name.

    In both forms, `from a import b` and `import a.b`; ruff bans relative names.
    """
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            head, _, below = (node.module or "").partition(".")
            if head == PACKAGE:
                for alias in node.names:
                    inner = f"{below}.{alias.name}".lstrip(".")
                    yield inner if inner in names else below
        elif isinstance(node, ast.Import):
            for alias in node.names:
                head, _, below = alias.name.partition(".")
                if head == PACKAGE and below:
                    yield below


def loaded_by(module: Module) -> Iterator[tuple[str, int]]:
    """The modules of the package that are loaded by a name in the text, and where."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function, name = base_name(node.func), node.args[0]
        if function not in LOADERS or not isinstance(name, ast.Constant):
            continue
        head, _, below = str(name.value).partition(".")
        if head == PACKAGE and below:
            yield below, node.lineno


def check_loads(modules: list[Module]) -> Iterator[Finding]:
    """What is loaded by its name exists, and is below: nothing else reads such a text.

    How long a chain is, loaded names do not say: the shell loads what its user asks for.
    """
    longest_chain(import_graph(modules, with_loaded=True))  # raises on a cycle
    names = {one.name for one in modules}
    for one in modules:
        for name, line in loaded_by(one):
            if name not in names:
                sentence = f"{PACKAGE}.{name} is loaded and does not exist"
                yield Finding("loads", name, one.path, line, sentence)


def import_graph(
    modules: list[Module], *, with_loaded: bool = False
) -> dict[str, set[str]]:
    """Which packages and modules of the root import which others, or load them too."""
    names = {one.name for one in modules}
    graph = {one.top: set[str]() for one in modules if one.name}
    for one in modules:
        loaded = [name for name, _ in loaded_by(one)] if with_loaded else []
        for target in [*imports_of(one, names), *loaded]:
            top = target.partition(".")[0]
            if (one.name, target) in IGNORED_IMPORTS or not (one.name and top):
                continue
            if top != one.top and top in graph:
                graph[one.top].add(top)
    return graph


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The longest way down, from importer to imported; raises on a cycle."""
    known: dict[str, list[str]] = {}

    def chain_from(name: str, above: tuple[str, ...]) -> list[str]:
        if name in above:
            way = " -> ".join([*above, name])
            raise SystemExit(f"a cycle of imports: {way}")
        if name not in known:
            below = [chain_from(one, (*above, name)) for one in graph[name]]
            known[name] = [name, *(max(below, key=len) if below else ())]
        return known[name]

    return max((chain_from(name, ()) for name in sorted(graph)), key=len)


def check_chain(modules: list[Module]) -> Iterator[Finding]:
    """At most 9 packages above one another."""
    chain = longest_chain(import_graph(modules))
    if len(chain) > LONGEST_CHAIN:
        sentence = f"a chain of {len(chain)} imports: {' -> '.join(chain)}"
        yield Finding("chain", "chain", modules[0].path, 1, sentence)


# --- the waists -----------------------------------------------------------------------


def check_waists(modules: list[Module]) -> Iterator[Finding]:
    """The waists and the errors need the standard library alone."""
    for one in modules:
        if one.name not in WAISTS:
            continue
        for node in ast.walk(one.tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.ImportFrom):
                imported = [node.module or ""]
            else:
                imported = [alias.name for alias in node.names]
            for name in imported:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names | {PACKAGE}:
                    sentence = f"{one.name} imports {top}, which is not in the standard library"
                    yield Finding("waists", one.name, one.path, node.lineno, sentence)


def check_curated(modules: list[Module]) -> Iterator[Finding]:
    """No module takes a curated name of the root, whose layer import-linter cannot see."""
    tops = {one.top for one in modules}
    for one in modules:
        for node in ast.walk(one.tree):
            if not isinstance(node, ast.ImportFrom) or node.module != PACKAGE:
                continue
            for alias in node.names:
                if alias.name not in tops | {"__version__"}:
                    sentence = f"{alias.name} comes through the root: import it from its module"
                    yield Finding("curated", one.name, one.path, node.lineno, sentence)


# --- maps -----------------------------------------------------------------------------


def check_maps(modules: list[Module]) -> Iterator[Finding]:
    """A package's docstring that lists its modules lists each of them, and no other."""
    for one in modules:
        text = ast.get_docstring(one.tree) or ""
        is_map = re.search(r"^\w+\.py  ", text, re.MULTILINE)
        if one.path.name != "__init__.py" or not is_map:
            continue
        listed = set(re.findall(r"\b\w+\.py\b", text))
        there = {path.name for path in one.path.parent.glob("*.py")} - {"__init__.py"}
        for name in sorted(listed ^ there):
            what = "does not exist" if name in listed else "is not listed"
            sentence = f"{name} {what}, by the map of {one.name}"
            yield Finding("maps", f"{one.name}: {name}", one.path, 1, sentence)


# --- classes --------------------------------------------------------------------------


def read_classes(modules: list[Module]) -> list[ClassFacts]:
    """Every class of the package."""
    return [
        class_facts(node, module)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    ]


def class_facts(node: ast.ClassDef, module: Module) -> ClassFacts:
    """What is read of one class."""
    bases = tuple(base_name(one) for one in node.bases)
    facts = ClassFacts(node.name, module, node, bases)
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            facts.members.add(item.name)
            if is_abstract(item):
                facts.abstract.append(item.name)
            facts.fields |= assigned_to_self(item)
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            facts.fields.add(item.target.id)
        elif isinstance(item, ast.Assign):
            facts.members |= {
                one.id for one in item.targets if isinstance(one, ast.Name)
            }
    facts.members |= facts.fields
    return facts


def is_abstract(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether subclasses must bring it: so it is marked, or all it does is refuse."""
    if any("abstract" in ast.unparse(one) for one in function.decorator_list):
        return True
    last = function.body[-1]
    before = function.body[:-1]
    only = all(isinstance(one, ast.Expr) for one in before)  # its docstring
    return (
        only
        and isinstance(last, ast.Raise)
        and "NotImplementedError" in ast.unparse(last)
    )


def base_name(node: ast.expr) -> str:
    """`Generic[T]` and `typing.Protocol` by their last plain name."""
    node = node.value if isinstance(node, ast.Subscript) else node
    return node.attr if isinstance(node, ast.Attribute) else ast.unparse(node)


def assigned_to_self(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The attributes that a method gives to its own object."""
    return {
        target.attr
        for target in assigned_attributes(function)
        if isinstance(target.value, ast.Name) and target.value.id == "self"
    }


def assigned_attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Every attribute that is bound or deleted, by a statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(
            node.ctx, ast.Store | ast.Del
        ):
            yield node


def check_names(classes: list[ClassFacts]) -> Iterator[Finding]:
    """A class name exists once."""
    places: dict[str, list[ClassFacts]] = defaultdict(list)
    for one in classes:
        places[one.name].append(one)
    for name, found in places.items():
        for one in found[1:]:
            sentence = f"{name} is also a class of {found[0].module.name}"
            yield Finding("names", name, one.module.path, one.node.lineno, sentence)


def is_interface_module(module: Module) -> bool:
    """Whether others implement what is declared there."""
    return "." not in module.name or module.top == "testing"


def check_abstract(classes: list[ClassFacts]) -> Iterator[Finding]:
    """Only interfaces have abstract methods."""
    for one in classes:
        if one.abstract and not is_interface_module(one.module):
            sentence = (
                f"{one.name} has abstract methods and is no interface of the root: "
                "give it a collaborator instead of subclasses"
            )
            yield Finding(
                "abstract", one.name, one.module.path, one.node.lineno, sentence
            )


def members_with_inherited(
    one: ClassFacts, by_name: Mapping[str, ClassFacts]
) -> set[str]:
    """The members of a class and of its bases in the package."""
    members = set(one.members)
    for base in one.bases:
        known = by_name.get(base)
        if known is not None and known is not one and is_meant(base, one, known):
            members |= members_with_inherited(known, by_name)
    return members


def is_meant(name: str, one: ClassFacts, known: ClassFacts) -> bool:
    """Whether a base of this name is that class: it is beside it, or imported."""
    if one.module is known.module:
        return True
    source = f"{PACKAGE}.{known.module.name}"
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == source
        and any((alias.asname or alias.name) == name for alias in node.names)
        for node in ast.walk(one.module.tree)
    )


def check_protocols(classes: list[ClassFacts]) -> Iterator[Finding]:
    """A Protocol with exactly one implementation is a class with a second name.

    An implementation is a class that has all members, by their names. A Protocol that
    is only called (`__call__`) is the type of a function and is passed over.
    """
    by_name = {one.name: one for one in classes}
    plain = [one for one in classes if not one.is_protocol]
    for one in classes:
        if not one.is_protocol or is_interface_module(one.module):
            continue
        needed = members_with_inherited(one, by_name) - {"__init__"}
        if not needed or needed == {"__call__"}:
            continue
        found = [c.name for c in plain if needed <= members_with_inherited(c, by_name)]
        if len(found) == 1:
            sentence = f"{one.name} is a Protocol of {found[0]} alone: use the class"
            yield Finding(
                "protocols", one.name, one.module.path, one.node.lineno, sentence
            )


def check_owners(modules: list[Module], classes: list[ClassFacts]) -> Iterator[Finding]:
    """What an object of `runtime/` keeps is written by its own module.

    Read by names, as there are no types here: an attribute that is bound on something
    else than `self`, and that only a class of another module of `runtime/` has. What
    the storages take (`change`, `record`, `end`) is made where it is filled.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for one in classes:
        if one.module.top == "runtime":
            for name in one.fields | slots_of(one.node):
                owners[name].add(one.module.name)
    for module in modules:
        if module.top != "runtime":
            continue
        for target in assigned_attributes(module.tree):
            receiver = target.value.id if isinstance(target.value, ast.Name) else ""
            own = receiver in {"self", *VALUES}
            theirs = owners.get(target.attr, set())
            if own or not theirs or module.name in theirs:
                continue
            sentence = f"{ast.unparse(target)} belongs to {', '.join(sorted(theirs))}"
            who = f"{module.name}: {target.attr}"
            yield Finding("owners", who, module.path, target.lineno, sentence)


def slots_of(node: ast.ClassDef) -> set[str]:
    """The names in `__slots__`."""
    for item in node.body:
        if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "__slots__":
            return {
                one.value
                for one in ast.walk(item.value)
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            }
    return set()


# --- all of them ----------------------------------------------------------------------


def findings(root: Path, known: Mapping[str, frozenset[str]]) -> list[str]:
    """What breaks a rule and is not known, and what is known and no longer true."""
    modules = read_modules(root)
    classes = read_classes(modules)
    found = [
        *check_root(modules),
        *check_chain(modules),
        *check_loads(modules),
        *check_waists(modules),
        *check_curated(modules),
        *check_maps(modules),
        *check_names(classes),
        *check_abstract(classes),
        *check_protocols(classes),
        *check_owners(modules, classes),
    ]
    new = [str(one) for one in found if one.who not in known.get(one.rule, ())]
    broken = {(one.rule, one.who) for one in found}
    mended = [
        f"{Path(__file__).name}: {who} no longer breaks the rule: take it out of KNOWN [{rule}]"
        for rule, names in known.items()
        for who in sorted(names)
        if (rule, who) not in broken
    ]
    return new + mended


def figures(root: Path) -> dict[str, str]:
    """What the shape measures: name -> figure."""
    modules = read_modules(root)
    classes = read_classes(modules)
    files = [m for m in modules if "." not in m.name and m.path.name != "__init__.py"]
    source = "".join(one.path.read_text(encoding="utf-8") for one in modules)
    lines = source.count("\n")
    ignored = len(re.findall(r"# noqa", source))
    chain = longest_chain(import_graph(modules))
    names = [one.name for one in classes]
    return {
        "modules in the root": f"{len(files)}, private {sum(m.name.startswith('_') and m.name != '__main__' for m in files)}",
        "longest chain of imports between packages": f"{len(chain)}: {' > '.join(chain)}",
        "class names with two meanings": str(len(names) - len(set(names))),
        "Protocols with one implementation": str(len(list(check_protocols(classes)))),
        "abstract classes that are no interface": str(
            len(list(check_abstract(classes)))
        ),
        "fields written by another module (runtime/)": str(
            len({one.who for one in check_owners(modules, classes)})
        ),
        "lines": f"{lines:,} in {len(modules)} modules",
        "noqa per 1,000 lines": f"{1000 * ignored / lines:.2f} ({ignored})",
    }


def main() -> int:
    """Say what breaks a rule, or the figures; return the exit code."""
    parser = argparse.ArgumentParser(description="Holds the package to its shape.")
    parser.add_argument("--figures", action="store_true", help="what it measures")
    if parser.parse_args().figures:
        for name, figure in figures(ROOT).items():
            print(f"{name:45} {figure}")
        return 0
    found = findings(ROOT, KNOWN)
    print("\n".join(found) or "the shape holds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
