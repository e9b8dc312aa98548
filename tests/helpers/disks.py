"""A small file system of its own, to be filled."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, megabytes: int = 3) -> Iterator[Path]:
    """A file system of that size at `place`; skips the test where none may be mounted."""
    place.mkdir()
    if not shutil.which("mount"):
        pytest.skip("there is no mount")
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not permitted")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path, free: int) -> Path:
    """Leaves so many bytes free. The file that takes the others."""
    ballast = disk / "ballast"
    with ballast.open("ab") as file:
        os.posix_fallocate(file.fileno(), file.tell(), shutil.disk_usage(disk).free - free)
    return ballast
