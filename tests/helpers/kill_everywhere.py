"""Kills a command at each of its changes of files, one after the other, and then gives the command again.

Run as a script by `killed_everywhere`: it imports everything once and forks, and the child becomes the command.
"""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path

COMMANDS = ("compare", "eval", "export", "resume", "sample", "train", "translate")
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree")


@dataclass
class Killed:
    """A command that was killed right before a change, and what came then.

    left: files and folders that it left.  again: exit code of the same command.  advised: that of the `ganrun resume`
    which the second one advised, None if it advised nothing.  after: files and folders then.
    """

    change: str
    left: list[str]
    again: int
    output: str
    advised: int | None
    after: list[str]
    folder: Path


def killed_everywhere(template: Path, args: list[str], first: int = 1, last: int = 1000) -> list[Killed]:
    """Give the command in copies of the folder `template`, kill each at another change, and give it again there.

    The copies lie beside `template`; one, called `whole`, has the result without a kill.  first, last: of the changes.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(template), str(first), str(last), *args]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [Killed(**json.loads(line)) for line in done.stdout.splitlines()]
    assert results
    for result in results:
        result.folder = Path(result.folder)
    return results


def main(template: str, first: str, last: str, *args: str) -> None:
    import torch.utils.tensorboard  # noqa: F401  before forking, so that no child has to

    for name in COMMANDS:
        importlib.import_module(f"ganrun.cli.commands.{name}")
    whole = Path(shutil.copytree(template, Path(template).with_name("whole")))
    assert become(whole, args) == 0, (whole / "log").read_text()
    for number in range(int(first), int(last) + 1):
        folder = Path(shutil.copytree(template, Path(template).with_name(f"killed{number}")))
        if become(folder, args, number) != -signal.SIGKILL:
            return
        left, change = entries(folder), (folder / "change").read_text()
        again = become(folder, args)
        output, advised = (folder / "log").read_text(), None
        if again and "ganrun resume " in output:
            advice = output.rpartition("ganrun ")[2].split()
            advised = become(folder, [advice[0], advice[1].rstrip(".")])
        after = entries(folder)
        fields = (change, left, again, output, advised, after, str(folder))
        print(json.dumps(dict(zip(Killed.__annotations__, fields, strict=True))), flush=True)


def entries(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name not in ("change", "log"))


def become(folder: Path, args: list[str] | tuple[str, ...], kill_at: int | None = None) -> int:
    """Run the command in a child, in that folder; return its exit code."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.chdir(folder)
    os.environ["GANRUN_CACHE"] = "cache"
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from ganrun.cli.main import main as ganrun

    if kill_at:
        sys.addaudithook(kill_before_change(kill_at))
    sys.argv = ["ganrun", *args]
    code = ganrun([*args])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def kill_before_change(number: int):
    """Return an audit hook that kills the process right before its change of that number below the working folder."""
    numbers, here, last = count(1), os.getcwd(), ""

    def hook(event: str, args: tuple) -> None:
        nonlocal last
        if event == "open":
            is_change = bool((args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            is_change = event in CHANGES
        if not is_change or not isinstance(args[0], str | os.PathLike):
            return
        path = os.path.abspath(args[0])
        is_void = (event == "os.mkdir") == os.path.lexists(path) if event in ("os.mkdir", "os.remove") else False
        if is_void or path == last or not path.startswith(f"{here}/"):
            return
        last = path if event == "open" else ""  # opened again
        if next(numbers) == number:
            os.write(os.open("change", os.O_WRONLY | os.O_CREAT), f"{event} {os.path.relpath(path)}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


if __name__ == "__main__":
    main(*sys.argv[1:])
