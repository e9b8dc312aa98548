"""The command line: `python -m ganrun`, or `python .../ganrun/__main__.py`, by which sweeps and ranks start others.

By its path, Python searches the folder of this file for modules, not the working folder; both are left out here.
"""

import os
import sys

if not __package__:
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]
    sys.path.append(os.path.dirname(os.path.dirname(__file__)))  # the last place to look for the package itself
from ganrun.cli.main import main, run_program

__spec__ = None  # Lightning starts its ranks by the path, too


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fork-server"] and len(sys.argv) == 3:
        from ganrun.sweep.executors.fork_server import serve

        serve(int(sys.argv[2]), main)
    run_program()
