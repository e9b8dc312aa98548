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
NO_CUDA = "import torch; torch.cuda.is_available = torch.cuda.device_count = torch.cuda._lazy_init = None"
WARM_COMMAND = (
    sys.executable,
    "-c",
    PROGRAM.format(prepare=NO_CUDA),
)  # with ganrun's imports
