"""A user who opens a stranger's folders: a home with secrets, a working folder, and checks that both are unharmed."""

import os
import resource
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from helpers.warm import Finished, WarmProcess

ENV_SECRET, FILE_SECRET = "env-s3cret-41", "file-s3cret-42"
SCRIPT = "<script>alert(1)</script>"
ESCAPE = "\x1b]0;owned\x07\x1b[31mred"
MARKER = "pwned"  # hostile code creates a file of this name
GANRUN = Path(sys.executable).with_name("ganrun")


@dataclass
class Victim:
    """A home and a working folder below `folder`; `run` runs a command and checks that nothing was harmed."""

    folder: Path
    cache: Path
    warm: WarmProcess

    def __post_init__(self) -> None:
        self.home, self.work = self.folder / "home", self.folder / "work"
        for name in ("documents", "pictures"):
            (self.home / name).mkdir(parents=True)
        self.work.mkdir()
        for name in (".bashrc", "secret.txt", "documents/kimg000000.001.ckpt", "documents/notes.txt"):
            (self.home / name).write_text(f"{FILE_SECRET}\n")

    def run(self, *args: str, cwd: Path | None = None, is_fresh: bool = False) -> Finished:
        """Run `ganrun` with the arguments, and check all that must hold whatever it was given.

        is_fresh: in a new Python, which has imported nothing yet.
        """
        home, old, place = self._contents(self.home), self._leaks(), cwd or self.work
        environment = {"HOME": str(self.home), "SECRET": ENV_SECRET, "MARKER": str(self.folder / MARKER)}
        environment["GANRUN_CACHE"] = str(self.cache)
        done = run_fresh(args, place, environment) if is_fresh else self._run_warm([*args], place, environment)
        assert done.code in (0, 1, 2), done.text
        assert "Traceback" not in done.text, done.text
        assert not [*self.folder.rglob(f"{MARKER}*")], f"ran foreign code\n{done.text}"
        assert self._contents(self.home) == home, done.text
        assert not [c for c in done.text if (c < " " and c not in "\n\t") or "\x7f" <= c < "\xa0"], repr(done.text)
        assert ENV_SECRET not in done.text
        assert self._leaks() == old, done.text
        assert done.peak < 1e9
        return done

    def _run_warm(self, args: list[str], cwd: Path, environment: dict[str, str]) -> Finished:
        return self.warm.run(args, cwd, self.folder / "output.txt", environment)

    def _contents(self, folder: Path) -> dict[Path, object]:
        """Return what is in a folder: link targets, and contents and times of files."""
        contents: dict[Path, object] = {}
        for path in folder.rglob("*"):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                contents[path] = os.readlink(path)
            else:
                contents[path] = (path.lstat().st_mtime_ns, path.read_bytes() if stat.S_ISREG(mode) else None)
        return contents

    def _leaks(self) -> set[Path]:
        """Return the files of the working folder that hold a secret, and the pages that hold a script."""
        files = [p for p in self.work.rglob("*") if stat.S_ISREG(p.lstat().st_mode)]
        leaks = {p for p in files if any(s.encode() in p.read_bytes() for s in (ENV_SECRET, FILE_SECRET))}
        return leaks | {p for p in files if p.suffix == ".html" and SCRIPT.encode() in p.read_bytes()}


def run_fresh(args: tuple[str, ...], cwd: Path, environment: dict[str, str], timeout: float = 300) -> Finished:
    """Run the command of the installation in a process of its own."""
    environment = {**os.environ, **environment}
    done = subprocess.run(
        [GANRUN, *args],
        cwd=cwd,
        env=environment,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Finished(done.returncode, done.stdout.decode(errors="surrogateescape"), 0, usage.ru_utime)
