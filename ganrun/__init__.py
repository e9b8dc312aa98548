"""ganrun: trains, scores, samples and compares generative adversarial networks.

From Python: ganrun.load, ganrun.train, ganrun.runs (see ganrun/api.py).
"""

import os
import sys


def _leave_working_folder() -> None:
    """Take the working folder, which may be a stranger's, off the path that `python -m ganrun` put it on.

    If the package itself lies there, a checkout that is not installed, the folder becomes the last one.
    """
    is_started = sys.argv[:1] == ["-m"] and any(word.removeprefix("-m").startswith("ganrun") for word in sys.orig_argv)
    has_folder = not (sys.flags.isolated or getattr(sys.flags, "safe_path", False))  # the second since Python 3.11
    own_folder = os.path.dirname(os.path.dirname(__file__))
    if is_started and has_folder and sys.path[0] == (os.path.exists(".") and os.getcwd()):
        sys.path += [folder for folder in [sys.path.pop(0)] if folder == own_folder]


_leave_working_folder()  # before the imports below

from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganrun.api import load as load
    from ganrun.api import runs as runs
    from ganrun.api import train as train

__version__ = "0.2.0"


class _RenamedModules:
    """Lets names of version 0.1 be imported: ganrun.config.renames, loaded only for them, knows where they are now."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not fullname.startswith("ganrun."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.loader and spec.submodule_search_locations is None:
            _add_old_names(spec.loader)
        elif not spec and "ganrun.config.renames" not in fullname:
            from ganrun.config.renames import RenamedModules

            return RenamedModules().find_spec(fullname, path, target)
        return spec


def _add_old_names(loader: Any) -> None:
    """Have the module look for a name that it lacks in the table of renamed ones."""
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        def look_up(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            from ganrun.config import renames

            return renames.look_up(module.__name__, name)

        module.__getattr__ = look_up
        run(module)

    loader.exec_module = exec_module


def __getattr__(name: str) -> Any:
    """The names of the Python API, imported when first used: `import ganrun` imports no torch."""
    if name in ("load", "runs", "train"):
        from ganrun import api

        return getattr(api, name)
    raise AttributeError(f"module ganrun has no attribute {name}")


sys.meta_path.insert(0, _RenamedModules())
