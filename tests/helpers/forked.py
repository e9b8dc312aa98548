"""Fork servers that run Python programs, the last argument of a job, instead of ganrun."""

import sys

NO_IMPORTS = """
fork_server.import_all = fork_server.seed_generators = lambda: None
fork_server.can_fork = lambda: True
"""
PROGRAM = """
import sys
from ganrun.sweep.executors import fork_server
{prepare}
fork_server.serve(int(sys.argv[1]), lambda: exec(sys.argv[-1], {{"__name__": "__main__"}}) or 0)
"""
COMMAND = (sys.executable, "-c", PROGRAM.format(prepare=NO_IMPORTS))
WARM_COMMAND = (sys.executable, "-c", PROGRAM.format(prepare=""))  # as ganrun's own, with all imports
