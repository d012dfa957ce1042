"""The house rules that a machine can check."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.home import ROOT

PRODUCT = ("alerts", "cli", "deploy", "ingest", "ledger", "plugins", "quota", "runtime")
ROOMS = (*PRODUCT, "bench", "demo")
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
    """Return the Python files of the rooms that exist."""
    return sorted(file for room in rooms for file in (ROOT / room).rglob("*.py"))


def functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the functions of a file, nested ones included."""
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def imported_rooms(file: Path) -> set[str]:
    """Return the top-level names that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def module_name(file: Path) -> str:
    """Return the dotted name of a module of ours."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(file: Path) -> set[str]:
    """Return the dotted names that a file imports anywhere, submodules named as such."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_downwards_only(room: str) -> None:
    for file in modules(room):
        is_command = str(file.relative_to(ROOT)) in COMMANDS
        allowed = MAY_IMPORT[room] | ({"cli"} if is_command else set())
        assert imported_rooms(file) & set(ROOMS) <= allowed, file


def test_no_module_imports_itself_through_others() -> None:
    files = {module_name(file): file for file in modules(*ROOMS)}
    graph = {name: (imported_modules(file) & files.keys()) - {name} for name, file in files.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def test_every_module_says_what_it_is_and_every_function_is_typed() -> None:
    for file in modules(*PRODUCT):
        text = file.read_text("utf-8")
        assert ast.get_docstring(ast.parse(text)) or not text, file
        for function in functions(file):
            assert function.returns is not None, f"{file.name}:{function.name}"


def test_docstrings_begin_with_plain_verbs() -> None:
    for file in modules(*ROOMS, "tests"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                first_word = (ast.get_docstring(node) or "-").split()[0]
                assert first_word not in {"Give", "Tell", "Say", "Hear"}, f"{file}:{node.lineno}"


def test_no_test_measures_time() -> None:
    """A busy machine would fail it: speed is for the benchmark, patience for `eventually`."""
    clocks = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"}
    # The faults are given by how long they last, and their duration is printed in a document.
    exempt = {*modules("tests/support"), *modules("tests/chaos")}
    for file in set(modules("tests")) - exempt:
        nodes = ast.walk(ast.parse(file.read_text("utf-8")))
        names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        assert not names & clocks, file


def test_no_test_module_imports_another() -> None:
    """What tests share is in `tests/support` and in `conftest.py`."""
    for file in modules("tests"):
        imported = {name for name in imported_modules(file) if ".test_" in f".{name}"}
        assert not imported, f"{file}: {imported}"
