"""ganrun status: shows all that is known of a run."""

from collections.abc import Sequence

from ganrun.cli.runs.live import take_run
from ganrun.cli.runs.report import describe_run_fully, status_as_json
from ganrun.errors import print_text
from ganrun.files import to_json
from ganrun.terminal import configure_logging


def main(args: Sequence[str]) -> int:
    """Print the state, scores, files and origin of a run. --json: as JSON."""
    configure_logging()
    folder, _ = take_run("status", [arg for arg in args if arg != "--json"], uses_registry=True)
    if "--json" in args:
        print_text(to_json(status_as_json(folder), indent=1) + "\n")
    else:
        print_text(describe_run_fully(folder))
    return 0
