"""The floors of the design: who may import whom, and what stands in one place only.

Every import of the package is walked, wherever it stands: late imports and those for type checking
too, because a hidden dependency is one all the same.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the ground up. A floor imports floors below it; neighbours on one line do not import each other.
# The client stands on the ground: it runs in other people's processes and drags nothing of ours along.
# mcp is that protocol and nothing else, spoken by the API and by the command alike.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__init__",),
    ("model", "errors", "client", "mcp"),
    ("config",),
    ("telemetry",),
    ("db", "egress"),
    ("store", "providers"),
    ("loops", "handlers"),
    ("api",),
    ("daemon",),
    ("bench",),
    ("cli",),
    ("__main__",),
)
HEIGHT = {name: height for height, line in enumerate(FLOORS) for name in line}

# Foreign names that have one home, so that changing them is one change. The client has its own door to
# HTTP: what the daemon may dial is guarded in egress, what the client dials is its user's choice.
HOMES = {"httpx": {"egress", "client.asking"}, "prometheus_client": {"telemetry"}}

# Gives the server's programs what they inherit; no setting of ours is read there.
INHERITING = {"db.binaries"}

LONGEST_MODULE = 320
LONGEST_FUNCTION = 40

Tree = Mapping[str, str]
"""Source by dotted name, `db.pool`; a package's `__init__` has the package's name."""


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def sources(package: Path) -> dict[str, str]:
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path.read_text()
    return found


def floor(module: str) -> str:
    return module.partition(".")[0]


def imports(tree: Tree, module: str) -> Iterator[str]:
    """Everything a module imports, as full dotted names."""
    for node in ast.walk(parsed(tree[module])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "relative." + (node.module or "")
            elif node.module == "outboxd":
                yield from (f"outboxd.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def own_imports(tree: Tree, module: str) -> Iterator[str]:
    """What of our package a module imports, as the floor's name."""
    for name in imports(tree, module):
        top, _, rest = name.partition(".")
        if top == "outboxd":
            target = floor(rest)
            yield target if target in HEIGHT else "__init__"


def wrong_floors(tree: Tree) -> Iterator[str]:
    for module in tree:
        here = floor(module)
        if here not in HEIGHT:
            yield f"{module} stands on no floor"
            continue
        for target in own_imports(tree, module):
            if target != here and HEIGHT[target] >= HEIGHT[here]:
                yield f"{module} imports {target}, which is not below it"


def relative_imports(tree: Tree) -> Iterator[str]:
    for module in tree:
        yield from (f"{module}: {name}" for name in imports(tree, module) if name.startswith("relative."))


def strangers(tree: Tree) -> Iterator[str]:
    """Foreign packages outside their home."""
    for module in tree:
        for name in imports(tree, module):
            homes = HOMES.get(floor(name))
            if homes is not None and homes.isdisjoint({floor(module), module}):
                yield f"{module} imports {name}, whose home is {' or '.join(sorted(homes))}"


def environment_readers(tree: Tree) -> Iterator[str]:
    """Modules that look into the environment. config may; cli may hand it on as a whole."""
    for module, source in tree.items():
        tree_of = parsed(source)
        handed_on = {id(each) for node in ast.walk(tree_of) for each in arguments(node)}
        for node in ast.walk(tree_of):
            if is_environment(node) and floor(module) != "config" and module not in INHERITING:
                if floor(module) == "cli" and id(node) in handed_on:
                    continue
                yield f"{module}:{getattr(node, 'lineno', 0)} reads the environment"


def arguments(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        yield from node.args
        yield from (keyword.value for keyword in node.keywords)


def is_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in {"environ", "getenv"} for alias in node.names)
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    return node.value.id == "os" and node.attr in {"environ", "environb", "getenv"}


def long_modules(tree: Tree) -> Iterator[str]:
    for module, source in tree.items():
        lines = len(source.splitlines())
        if lines > LONGEST_MODULE:
            yield f"{module} has {lines} lines"


def long_functions(tree: Tree) -> Iterator[str]:
    for module, source in tree.items():
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    yield f"{module}.{node.name} has {lines} lines"


RULES: tuple[Callable[[Tree], Iterator[str]], ...] = (
    wrong_floors,
    relative_imports,
    strangers,
    environment_readers,
    long_modules,
    long_functions,
)

FAULTS: tuple[tuple[Callable[[Tree], Iterator[str]], Tree], ...] = (
    (wrong_floors, {"model": "from outboxd import store"}),
    (wrong_floors, {"db.pool": "from outboxd.egress import dial"}),
    (wrong_floors, {"store.jobs": "def f():\n    import outboxd.loops.worker"}),
    (wrong_floors, {"daemon": "from outboxd.cli import main"}),
    (wrong_floors, {"utils": ""}),
    (relative_imports, {"db.pool": "from . import rows"}),
    (strangers, {"handlers.deliver": "import httpx"}),
    (strangers, {"client.spool": "import httpx"}),
    (wrong_floors, {"client.asking": "from outboxd import config"}),
    (wrong_floors, {"client.errors": "from outboxd.errors import Error"}),
    (strangers, {"loops.worker": "from prometheus_client import Counter"}),
    (environment_readers, {"db.embedded": "import os\nprint(os.environ['HOME'])"}),
    (environment_readers, {"cli": "import os\nprint(os.environ.get('HOME'))"}),
    (environment_readers, {"api.app": "from os import getenv"}),
    (long_modules, {"model": "\n" * 321}),
    (long_functions, {"model": "def f():\n" + "    pass\n" * 40}),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule: Callable[[Tree], Iterator[str]]) -> None:
    assert list(rule(sources(ROOT / "outboxd"))) == []


@pytest.mark.parametrize(("rule", "tree"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_found(rule: Callable[[Tree], Iterator[str]], tree: Tree) -> None:
    assert len(list(rule(tree))) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_allowed_is_not_found(rule: Callable[[Tree], Iterator[str]]) -> None:
    good = {
        "db.pool": "from outboxd.db import rows\nfrom outboxd import __version__, errors",
        "cli": "import os\nfrom outboxd import daemon\nread(os.environ)\nread(environ=os.environ)",
        "config": "import os\nos.environ.get('HOME')",
        "egress": "import httpx",
        "client.asking": "import httpx",
        "model": "\n" * 320,
    }
    assert list(rule(good)) == []
