"""Kill trainings at random moments and check that nothing is lost.

python scripts/crash_test.py                100 kills, about 4 minutes
python scripts/crash_test.py --kills 10     a short look

A training that saves every few batches is killed (SIGKILL); `ganrun resume` continues it and is killed as well, and so
on until it is done. Its networks, averages, optimizers, scores and losses must then equal those of a training that
was never killed, bit for bit. The moments are random; a third of them aims at a save or a scoring, a sixth at a start.
Temporary files are on another file system than the run. This process imports everything once and forks, and the child
becomes the command. This does not test power cuts: the kernel survives.
"""

import argparse
import json
import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from ganrun.training import run_folder

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process with threads must not be forked
import torch
import torch.utils.tensorboard  # before forking, so that no child has to
from lightning_utilities.core.apply_func import apply_to_collection

from ganrun.cli.commands import resume, train  # noqa: F401
from ganrun.cli.main import main as ganrun
from ganrun.errors import UserError
from ganrun.training import checkpoint
from ganrun.training.callbacks.evaluation import Evaluation
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.metric_lines import read_metric_lines

SAVE, SCORING = 0, 2  # indices in MARKS: whether it is in progress; the next byte counts the calls
MARKS = mmap.mmap(-1, 4)  # shared with the children; survives when one is killed
START_SECONDS = 0.7  # approximately


class Case(NamedTuple):
    name: str
    share: float  # of the kills
    overrides: str


CASES = [
    Case(
        "gan on the ring",
        0.6,
        "model=gan data=ring network.generator.hidden=[8] network.discriminator.hidden=[8] batch_size=20 "
        "kimg=2.4 checkpoint.kimg=0.1 validate_kimg=0.4 pictures_kimg=0.7 metrics.samples=50",
    ),
    Case(
        "dcgan on digits",
        0.25,
        "model=dcgan data=digits network.width=4 batch_size=4 metrics=lenet metrics.samples=20 metrics.reference=200 "
        "kimg=0.16 checkpoint.kimg=0.008 validate_kimg=0.03 pictures_kimg=0.05",
    ),
    Case(
        "cyclegan on digits, with its pool",
        0.15,
        "model=cyclegan data=unpaired_digits network=cyclegan_small network.width=4 network.blocks=1 batch_size=2 "
        "model.pool=5 metrics=translation_lenet metrics.samples=20 "
        "kimg=0.064 checkpoint.kimg=0.004 validate_kimg=0.012 pictures_kimg=0.02",
    ),
]
ALL = "ema.half_life_kimg=0.05 schedule=linear_decay log_every=4"


@dataclass
class Row:
    """The results of a case. readable: states that could be loaded after the kills that came after the first save."""

    name: str
    kills: int = 0
    in_save: int = 0
    in_scoring: int = 0
    before_first_save: int = 0
    readable: int = 0
    runs: int = 0
    equal: int = 0
    errors: list[str] = field(default_factory=list)

    def cells(self) -> list[str]:
        late = self.kills - self.before_first_save
        counts = [self.kills, self.in_save, self.in_scoring, self.before_first_save]
        return [self.name, *map(str, counts), f"{self.readable} of {late}", f"{self.equal} of {self.runs}"]


HEADS = [
    "training",
    "kills",
    "in a save",
    "in scoring",
    "before the first save",
    "states loaded",
    "runs equal in the end",
]


# ---- the child ----


def become_command(args: list[str], log: Path) -> None:
    """Run the command in this process and exit."""
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    DurableIO._save = staticmethod(mark_calls(SAVE, DurableIO._save))
    Evaluation._score = mark_calls(SCORING, Evaluation._score)
    sys.argv = ["ganrun", *args]
    code = ganrun(args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def mark_calls(index: int, function: Callable) -> Callable:
    """Return the function with marks in shared memory while it runs."""

    def marked(*args, **kwargs):
        MARKS[index], MARKS[index + 1] = 1, min(MARKS[index + 1] + 1, 255)
        try:
            return function(*args, **kwargs)
        finally:
            MARKS[index] = 0

    return marked


# ---- the parent ----


def run_command(args: list[str], log: Path, wait: Callable[[int], None] | None = None) -> int:
    """Return the exit code of a command, which is killed after `wait(pid)` if it still runs: -9."""
    MARKS[:] = bytes(len(MARKS))
    pid = os.fork()
    if not pid:
        become_command(args, log)
    if wait:
        wait(pid)
        os.kill(pid, signal.SIGKILL)  # harmless if it has ended: its pid is still reserved
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def random_wait(rng: random.Random, seconds: float) -> Callable[[int], None]:
    """Return a function that waits for a moment within this time, or for one within a later save or scoring."""
    index, nth, longest = rng.choice(
        [(None, 0, seconds)] * 3
        + [(None, 0, START_SECONDS), (SAVE, rng.randint(1, 12), 0.01), (SCORING, rng.randint(1, 3), 0.02)]
    )
    delay = rng.uniform(0, longest)

    def wait(pid: int) -> None:
        while index is not None and MARKS[index + 1] < nth and not has_ended(pid):
            time.sleep(0.0002)
        end = time.monotonic() + delay
        while time.monotonic() < end and not has_ended(pid):
            time.sleep(0.0002)

    return wait


def has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def run_case(case: Case, kills: int, seed: int, folder: Path) -> Row:
    """Kill runs until there were this many kills, and compare each finished run with one that was not killed."""
    args, log, row = ["train", *case.overrides.split(), *ALL.split()], folder / "log.txt", Row(case.name)
    for name in ("first", "whole"):  # the first one fills the caches of data and statistics
        start = time.monotonic()
        if run_command([*args, f"folder={folder}/{name}"], log):
            sys.exit(log.read_text())
    seconds, expected, rng = (
        time.monotonic() - start,
        final_state(folder / "whole"),
        random.Random(f"{seed} {case.name}"),
    )
    for number in count(1):
        before, run_dir = row.kills, folder / f"run{number}"
        kill_until_done([*args, f"folder={run_dir}"], run_dir, kills, row, lambda: random_wait(rng, seconds), log)
        row.runs += row.kills > before
        if run_folder.read_status(run_dir).get("state") == "done" and final_state(run_dir) == expected:
            row.equal += row.kills > before
            shutil.rmtree(run_dir)
        else:
            row.errors.append(f"{run_dir} differs from {folder / 'whole'}")
        if row.kills >= kills or row.errors:
            return row


def kill_until_done(args: list[str], run_dir: Path, kills: int, row: Row, next_wait: Callable, log: Path) -> None:
    """Finish one training, killing it on the way; at most `kills` kills in all."""
    while row.kills < kills:
        code = run_command(args, log, next_wait())
        if code != -signal.SIGKILL or run_folder.read_status(run_dir).get("state") == "done":
            break
        count_kill(row, run_dir)
        args = next_command(args, run_dir)
    else:
        code = run_command(args, log)
    if code not in (0, -signal.SIGKILL):
        row.errors.append(f"{' '.join(args)} ended with {code}, see {log}")


def next_command(args: list[str], run_dir: Path) -> list[str]:
    """Return the command that continues a killed run, or starts it again if it has no status file yet."""
    if (run_dir / run_folder.STATUS).exists():
        return ["resume", str(run_dir)]
    shutil.rmtree(run_dir, ignore_errors=True)
    return args


def count_kill(row: Row, run_dir: Path) -> None:
    """Count a kill by what it interrupted and by what can still be loaded."""
    row.kills += 1
    row.in_save += MARKS[SAVE]
    row.in_scoring += MARKS[SCORING]
    if not (run_dir / "checkpoints" / checkpoint.MANIFEST).exists():
        row.before_first_save += 1
        return
    try:
        checkpoint.load_checkpoint(checkpoint.find_checkpoint(str(run_dir)))
        row.readable += 1
    except UserError as error:
        row.errors.append(str(error))


def final_state(run_dir: Path) -> dict[str, Any]:
    """Return the state of a finished run as plain types: its checkpoint's weights and counts, its losses and scores."""
    content = checkpoint.load_checkpoint(checkpoint.find_checkpoint(str(run_dir)))
    parts = {key: content[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "seen")}
    lines = [
        json.dumps({**line, "time": 0}) for line in read_metric_lines(run_dir / "metrics.jsonl") if "last" not in line
    ]
    return {**apply_to_collection(parts, torch.Tensor, to_bytes), "history": lines}


def to_bytes(tensor: torch.Tensor) -> tuple[str, bytes]:
    return f"{tensor.dtype} {[*tensor.shape]}", tensor.numpy().tobytes()


def share_kills(kills: int) -> list[int]:
    """Return the number of kills for each case."""
    parts = [max(1, round(case.share * kills)) for case in CASES]
    return [max(1, kills - sum(parts[1:])), *parts[1:]]


def format_table(rows: list[Row]) -> str:
    """Format the results as a Markdown table."""
    total = Row("all", *(sum(getattr(row, name) for row in rows) for name in list(vars(rows[0]))[1:-1]))
    cells = [HEADS, ["---"] * len(HEADS), *(row.cells() for row in [*rows, total])]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--tmp-elsewhere",
        type=Path,
        default=Path("/dev/shm"),
        help="folder for temporary files, on another file system",
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ganrun-crash-"))
    if folder.stat().st_dev == options.tmp_elsewhere.stat().st_dev:
        parser.error(f"{options.tmp_elsewhere} is on the file system of {folder}. Give another --tmp-elsewhere.")
    torch.set_num_threads(1)
    os.environ |= {"GANRUN_CACHE": f"{folder}/cache", "TMPDIR": str(options.tmp_elsewhere)}
    tempfile.tempdir = None  # makes tempfile read TMPDIR again
    rows = []
    for number, (case, kills) in enumerate(zip(CASES, share_kills(options.kills), strict=True)):
        (folder / str(number)).mkdir()
        rows.append(run_case(case, kills, options.seed, folder / str(number)))
        print(f"{case.name}: {rows[-1].kills} kills", file=sys.stderr)
    print(format_table(rows))
    errors = [line for row in rows for line in row.errors]
    if errors:
        sys.exit("\n".join(errors))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
