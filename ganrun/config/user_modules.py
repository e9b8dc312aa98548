"""Finds a user's own modules in the working folder, which is not on sys.path: it may be a stranger's folder.

Found are the modules that the user's own config or command line names, and what these import, all after installed ones.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganrun.config.renames import iterate_values

TARGET = re.compile(r"_target_['\"]?\s*[:=]\s*['\"]?(\w+)")  # in yaml files and in overrides
MACHINERY = ("importlib", "_frozen_importlib")  # modules whose frames stand between an import and its importer


class UserModules(MetaPathFinder):
    """The last finder of sys.meta_path.

    named: {module at the top level that the user names: its folder}.  imported: the same of those that were found.
    """

    def __init__(self):
        self.named: dict[str, str] = {}
        self.imported: dict[str, str] = {}

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        folder = None if path is not None else self.named.get(fullname) or self.imported.get(importer_name())
        spec = PathFinder.find_spec(fullname, [folder]) if folder else None
        if spec and folder:
            self.imported[fullname] = folder
        return spec


FINDER = UserModules()


def importer_name() -> str:
    """Return the top-level name of the module whose import statement is being run."""
    frame = sys._getframe(2)
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith(MACHINERY):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def allow_modules(names: Iterable[str], folder: str | Path | None = None) -> None:
    """Let these top-level modules be imported from the folder (None: the working folder), if they are not installed."""
    FINDER.named |= dict.fromkeys(names, str(folder or Path.cwd()))
    if FINDER not in sys.meta_path:
        sys.meta_path.append(FINDER)


def modules_in_config(cfg: DictConfig) -> set[str]:
    """Return the top-level modules that a config names: in `_target_`, and in `path` of hydra.utils.get_class."""
    names = set()
    for key, _ in iterate_values(OmegaConf.to_container(cfg)):
        if key.rpartition(".")[2] in ("_target_", "path"):
            with suppress(OmegaConfBaseException):
                names.add(str(OmegaConf.select(cfg, key)).partition(".")[0])
    return names


def modules_in_texts(texts: Iterable[str]) -> set[str]:
    """Return the top-level modules that overrides, or the texts of yaml files, name in `_target_`."""
    return {name for text in texts for name in TARGET.findall(text)}


def explain_shadowed(*texts: str) -> str:
    """Return a sentence for each module of the working folder that one of the texts names but Python does not import.

    texts: of targets such as "profile.MyGAN", and of error messages, which quote names.
    """
    return "".join(
        f" {path} is not imported: {owner} has the same name. Rename the file, and the name in the config."
        for path, owner in dict.fromkeys(_shadowed(texts))
    )


def _shadowed(texts: Iterable[str]) -> Iterator[tuple[Path, str]]:
    for name in {name for text in texts for name in re.findall(r"(?:^|['\"])(\w+)", text)}:
        path = next((path for path in (Path(f"{name}.py").absolute(), Path(name).absolute()) if path.exists()), None)
        spec = None
        with suppress(ValueError):  # of a module without a spec, such as __main__
            spec = find_spec(name) if path and name not in FINDER.imported else None
        if path and spec and not (spec.has_location and Path(str(spec.origin)).is_relative_to(path)):
            is_pythons = name in sys.stdlib_module_names
            yield path, f"Python's own module {name}" if is_pythons else f"the installed package {name} ({spec.origin})"


def user_texts(overrides: Iterable[str], flags: Mapping[str, str]) -> Iterator[str]:
    """Yield the overrides of a command and the yaml files of its --config-dir."""
    yield from overrides
    if folder := flags.get("--config-dir"):
        yield from (path.read_text(errors="replace") for path in sorted(Path(folder).rglob("*.yaml")))
