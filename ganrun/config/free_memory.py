"""The main memory that is free. Imports no torch: a sweep, which trains nothing itself, asks for it at its start."""

from contextlib import suppress
from pathlib import Path


def free_main_memory() -> int | None:
    """Return the bytes of main memory that this process may still use; None if that is not known."""
    return min((size for size in (machine_memory(), container_memory()) if size is not None), default=None)


def machine_memory(path: Path = Path("/proc/meminfo")) -> int | None:
    """Return the bytes of main memory that Linux calls available; None on other systems."""
    with suppress(OSError, ValueError, KeyError):
        lines = (line.partition(":") for line in path.read_text().splitlines())
        return 1024 * int({name: rest for name, _, rest in lines}["MemAvailable"].split()[0])


def container_memory(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that a container may still use, files in memory not counted; None without a limit."""
    with suppress(OSError, ValueError, KeyError):
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + int(stat["inactive_file"])
