"""Commands run as a user whom the modes of files bind, also where the tests are run by root."""

import os
import shutil
import subprocess
import sys

import pytest

UID = 54321  # has neither a name nor a home


def command_prefix() -> list[str]:
    """Return what makes root run a command as that user. Skips the test if this Python is closed to other users."""
    if not shutil.which("setpriv"):
        pytest.skip("only setpriv can run a command as another user")
    prefix = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    if subprocess.run([*prefix, sys.executable, "-c", ""], capture_output=True, cwd="/").returncode:
        pytest.skip(f"other users cannot run {sys.executable}")
    return prefix


def is_root() -> bool:
    return not os.getuid()
