"""Random commands: each ends soon, with a known exit code, without a traceback, and leaves nothing half made.

GANRUN_FUZZ_SEED=7 and GANRUN_FUZZ_COUNT=5000 choose other commands. A failure says how to repeat its command alone.
"""

import os
import random
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest
from helpers import fuzz
from helpers.warm import Finished, WarmProcess
from PIL import Image

pytestmark = pytest.mark.slow
SEED, COUNT = int(os.environ.get("GANRUN_FUZZ_SEED", 0)), int(os.environ.get("GANRUN_FUZZ_COUNT", 300))
CODES = {0, 1, 2, 129, 130, 143}
SECONDS = 30  # the longest that a command may take: a tiny training, cut off after three seconds
HALF_MADE = (".unfinished", ".partial", ".tmp", ".kept", ".lock.lock")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, warm):
    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("home", "cache", "first"):
        (folder / name).mkdir()
    done = run(warm, folder, folder / "first", ["train", *fuzz.TINY, *fuzz.SHORT, "folder=done"])
    assert done.code == 0, done.text
    fuzz.make_workspace(folder / "pattern", folder / "first" / "done")
    (folder / "pattern" / "pictures").mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(folder / "pattern" / "pictures" / f"{i}.png")
    return folder


def run(warm: WarmProcess, folder: Path, place: Path, args: list[str]) -> Finished:
    environment = {"HOME": str(folder / "home"), "GANRUN_CACHE": str(folder / "cache"), "MPLBACKEND": "agg"}
    environment |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # no downloads
    return warm.run(args, place, folder / "output.txt", environment, timeout=SECONDS)


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def find_fault(done: Finished, before: set[str], after: set[str]) -> str:
    """Return what is wrong with how a command ended; "" if nothing is."""
    new = {name for name in after - before if Path(name).name not in (".lock", "train.log")}
    half_made = sorted(name for name in after if name.endswith(HALF_MADE))
    checks = {
        "it hangs": done.code is None,
        f"its exit code is {done.code}": done.code is not None and done.code not in CODES,
        "it prints a traceback": "Traceback" in done.text,
        f"it leaves {half_made}": bool(half_made),
        f"it is refused and leaves {sorted(new)}": done.code == 2 and bool(new),
        f"it removes {sorted(before - after)}": done.code == 2 and bool(before - after),
    }
    return "; ".join(fault for fault, applies in checks.items() if applies)


def test_random_commands_end_well(workspace, warm, tmp_path):
    codes, faults = Counter(), []
    for number in range(COUNT):
        args = fuzz.make_command(random.Random(f"{SEED}/{number}"))
        place = tmp_path / "work"
        shutil.copytree(workspace / "pattern", place)
        before = contents(place)
        done = run(warm, workspace, place, args)
        codes[done.code] += 1
        if fault := find_fault(done, before, contents(place)):
            faults.append(f"seed {SEED}, command {number}: {fault}\n  ganrun {shlex.join(args)}\n{done.text[-1500:]}")
        shutil.rmtree(place)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)
    assert codes[0] > COUNT / 10, codes
    assert codes[2] > COUNT / 5, codes
