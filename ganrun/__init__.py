"""ganrun: trains, scores, samples and compares generative adversarial networks."""

import sys
from importlib.machinery import ModuleSpec
from typing import Any

__version__ = "0.2.0"


class _RenamedModules:
    """Passes imports of modules of version 0.1 to ganrun.config.renames, which is loaded only for them."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not fullname.startswith("ganrun.") or "ganrun.config.renames" in fullname:
            return None
        from ganrun.config.renames import RenamedModules

        return RenamedModules().find_spec(fullname, path, target)


sys.meta_path.append(_RenamedModules())
