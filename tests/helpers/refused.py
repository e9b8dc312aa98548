"""The check of a command that is refused."""

import re
from pathlib import Path


def check_refused(cli, capsys, message: str, *args: str) -> None:
    """Check that a command with out=out ends with code 2, says this without a traceback, and writes nothing."""
    assert cli.run(*args) == 2
    error = capsys.readouterr().err
    assert message in re.sub(r"\s+", " ", error)
    assert "Traceback" not in error
    assert not Path("out").exists()
