"""The layout of the package: which folder may import which, and no cycles."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ganrun"
MAY_IMPORT = {  # folder of the package: the folders that its modules may import, besides the modules at the top
    "networks": set(),
    "data": set(),
    "models": {"networks"},
    "metrics": {"data", "networks"},
    "config": {"models", "metrics", "data", "networks"},
    "training": {"config", "models", "metrics", "data", "networks"},
    "sweep": {"training", "config", "models", "metrics", "data", "networks"},
    "cli": {"sweep", "training", "config", "models", "metrics", "data", "networks"},
}
SHARED = {"errors", "files", "seeds", "terminal"}  # top-level modules that every folder may import
ENTRY_POINTS = {"__init__", "__main__", "api"}  # top-level modules that may import everything
# Names that siblings share on purpose: the folders that may define them
SIBLINGS = {
    "run": {"ganrun.cli.commands"},  # commands with a config
    "main": {"ganrun.cli", "ganrun.cli.commands"},  # the command line, and commands without a config
    "Generator": {"ganrun.networks"},
    "Discriminator": {"ganrun.networks"},
    "Encoder": {"ganrun.networks"},
}
MODULES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def folder_of(module: str) -> str:
    """ "ganrun.data.cache" -> "data"; "ganrun.errors" -> "errors"."""
    return module.split(".")[1] if "." in module else "__init__"


def imported_modules(module: str) -> set[str]:
    """The modules of the package that a module imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name in MODULES and MODULES[name].name != "__init__.py"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_runs_from_a_lower_folder_to_a_higher_one(module):
    folder = folder_of(module)
    if folder in ENTRY_POINTS:
        return
    allowed = SHARED | MAY_IMPORT.get(folder, set()) | {folder}
    wrong = sorted(name for name in imported_modules(module) if folder_of(name) not in allowed)
    assert not wrong, f"{module} imports {', '.join(wrong)}"


def test_there_is_no_import_cycle():
    graph = {module: imported_modules(module) for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])


def test_every_folder_has_its_place_in_the_import_rule():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in ("assets", "__pycache__")}
    assert folders == set(MAY_IMPORT)


def definitions() -> dict[str, list[str]]:
    """Name of each top-level function or class: the modules that define it."""
    found: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("__"):
                found.setdefault(node.name, []).append(module)
    return found


def test_no_name_means_different_things_in_two_modules():
    shared = {name: modules for name, modules in definitions().items() if len(modules) > 1}
    for name in SIBLINGS:
        assert {module.rpartition(".")[0] for module in shared.pop(name)} <= SIBLINGS[name]
    assert not shared


def test_functions_and_files_are_short():
    lengths = []
    for path in MODULES.values():
        text = path.read_text()
        assert text.count("\n") <= 300, path
        functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        lengths += [(node.end_lineno or 0) - node.lineno + 1 for node in functions]
    lengths.sort()
    assert lengths[len(lengths) // 2] <= 9
    assert lengths[len(lengths) * 9 // 10] <= 30
    assert lengths[-1] <= 60


SHARED_BY_MODELS = {"base.py": 220, "losses.py": 300, "regularizers.py": 300}


def test_a_model_file_has_at_most_60_lines():
    for path in (PACKAGE / "models").glob("*.py"):
        assert path.read_text().count("\n") <= SHARED_BY_MODELS.get(path.name, 60), path


def test_the_top_of_the_package_has_at_most_13_entries():
    entries = {path.name for path in PACKAGE.iterdir()}
    entries -= {"__init__.py", "__main__.py", "assets", "py.typed", "__pycache__", "conf"}
    assert len(entries) <= 13, sorted(entries)
