"""The house rules that a machine can hold."""

import ast
from pathlib import Path

import pytest

from tests.support.home import ROOT

PRODUCT = ("ingest", "alerts", "ledger", "runtime", "plugins", "deploy", "cli")
ROOMS = (*PRODUCT, "quota", "demo", "bench")
MAY_IMPORT = {
    "ledger": {"ledger"},
    "runtime": {"runtime", "ledger"},
    "ingest": {"ingest", "runtime", "ledger"},
    "quota": {"quota", "runtime", "ledger"},
    "alerts": {"alerts", "runtime", "ledger"},
    "plugins": {"plugins", "runtime", "ledger"},
    "deploy": {"deploy", "runtime", "ledger"},
}
# What `python -m` runs is a command, and the command line stands above all rooms.
COMMANDS = (
    "ledger/__main__.py",
    "ingest/__main__.py",
    "quota/__main__.py",
    "alerts/__main__.py",
    "runtime/serve.py",
)


def modules(*rooms: str) -> list[Path]:
    """Give the Python files of the rooms that are there."""
    return sorted(file for room in rooms for file in (ROOT / room).rglob("*.py"))


def functions(file: Path) -> list[ast.FunctionDef]:
    """Give a file's functions."""
    tree = ast.parse(file.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def imported(file: Path) -> set[str]:
    """Give the top-level names that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_downwards_only(room):
    for file in modules(room):
        is_command = str(file.relative_to(ROOT)) in COMMANDS
        allowed = MAY_IMPORT[room] | ({"cli"} if is_command else set())
        assert imported(file) & set(ROOMS) <= allowed, file


def module_imports(file: Path, names: set[str]) -> set[str]:
    """Return the modules among `names` that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & names or {node.module}
    return found & names


def test_no_import_is_in_a_cycle():
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in modules(*ROOMS)
    }
    imports = {name: module_imports(file, set(files)) - {name} for name, file in files.items()}
    # A module whose imports are all gone is in no cycle.
    while done := {name for name, others in imports.items() if not others & imports.keys()}:
        imports = {name: others for name, others in imports.items() if name not in done}
    assert not imports


def test_every_module_says_what_it_is_and_every_function_is_typed():
    for file in modules(*PRODUCT):
        assert ast.get_docstring(ast.parse(file.read_text("utf-8"))) or not file.stat().st_size, (
            file
        )
        for function in functions(file):
            assert function.returns is not None, f"{file.name}:{function.name}"


def test_no_test_measures_time():
    """A busy machine would fail it: speed is for the benchmark, patience for `eventually`."""
    watches = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"}
    # The faults are given by how long they last, and what they took is told in a document.
    exempt = {*modules("tests/support"), *modules("tests/chaos")}
    for file in set(modules("tests")) - exempt:
        tree = ast.walk(ast.parse(file.read_text("utf-8")))
        names = {node.attr for node in tree if isinstance(node, ast.Attribute)}
        assert not names & watches, file
