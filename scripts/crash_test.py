"""Kills trainings at random moments and shows that nothing is lost.

python scripts/crash_test.py                100 kills, about 4 minutes
python scripts/crash_test.py --kills 10     a look

A training that saves every few batches is killed (SIGKILL), `ganrun resume` goes on with it and is killed too,
and so on until it comes to its end. Then its networks, averages, optimizers, scores and losses have to be those of a
training that nobody has killed, bit for bit. The moments are drawn; a third of them aims at a save or a scoring, a
sixth at a start. Temporary files lie on another file system than the run. This process imports everything once and
forks each command, which from there on is the command itself. A power cut is another test: here the kernel lives on.
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

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process with threads cannot be forked
import torch
import torch.utils.tensorboard  # beforehand, so that no child has to
from lightning_utilities.core.apply_func import apply_to_collection

from ganrun.cli.commands import resume, train  # noqa: F401
from ganrun.cli.main import main as ganrun
from ganrun.errors import UserError
from ganrun.training import checkpoint
from ganrun.training.callbacks.evaluation import Evaluation
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.run_record import read_metric_lines

SAVE, SCORING = 0, 2  # places in MARKS: whether it is at it, and behind it how often it was
MARKS = mmap.mmap(-1, 4)  # shared with the children, and still there when one is killed
EARLY = 0.7  # seconds that a start takes, about


class Case(NamedTuple):
    name: str
    share: float  # of the kills
    words: str


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
    """What a case came to. found: states that were read, of those kills that did not come before the first save."""

    name: str
    kills: int = 0
    in_save: int = 0
    in_scoring: int = 0
    before_first_save: int = 0
    found: int = 0
    runs: int = 0
    equal: int = 0
    wrong: list[str] = field(default_factory=list)

    def cells(self) -> list[str]:
        late = self.kills - self.before_first_save
        counts = [self.kills, self.in_save, self.in_scoring, self.before_first_save]
        return [self.name, *map(str, counts), f"{self.found} of {late}", f"{self.equal} of {self.runs}"]


HEADS = ["training", "kills", "in a save", "in scoring", "before the first save", "states found", "runs that end equal"]


# the child


def command(words: list[str], log: Path) -> None:
    """Becomes the command: never returns."""
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    DurableIO._save = staticmethod(marked(SAVE, DurableIO._save))
    Evaluation._evaluate = marked(SCORING, Evaluation._evaluate)
    sys.argv = ["ganrun", *words]
    code = ganrun(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def marked(place: int, work: Callable) -> Callable:
    """The function, which tells the parent that it is being called."""

    def within(*arguments, **settings):
        MARKS[place], MARKS[place + 1] = 1, min(MARKS[place + 1] + 1, 255)
        try:
            return work(*arguments, **settings)
        finally:
            MARKS[place] = 0

    return within


# the parent


def run(words: list[str], log: Path, moment: Callable[[int], None] | None = None) -> int:
    """The exit code of a command; -9 where it was killed: after `moment(pid)`, if it still ran by then."""
    MARKS[:] = bytes(len(MARKS))
    pid = os.fork()
    if not pid:
        command(words, log)
    if moment:
        moment(pid)
        os.kill(pid, signal.SIGKILL)  # nothing happens to one that has ended, as it was not waited for yet
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def drawn(draws: random.Random, seconds: float) -> Callable[[int], None]:
    """Waits for a moment within so many seconds, or within one of the next saves or scorings."""
    place, nth, most = draws.choice(
        [(None, 0, seconds)] * 3
        + [(None, 0, EARLY), (SAVE, draws.randint(1, 12), 0.01), (SCORING, draws.randint(1, 3), 0.02)]
    )
    later = draws.uniform(0, most)

    def moment(pid: int) -> None:
        while place is not None and MARKS[place + 1] < nth and not has_ended(pid):
            time.sleep(0.0002)
        end = time.monotonic() + later
        while time.monotonic() < end and not has_ended(pid):
            time.sleep(0.0002)

    return moment


def has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def measured(case: Case, kills: int, seed: int, folder: Path) -> Row:
    """Runs that are killed until there were so many kills, each then compared with one that was not."""
    words, log, row = ["train", *case.words.split(), *ALL.split()], folder / "log.txt", Row(case.name)
    for name in ("first", "whole"):  # the first one fills the cache of data and statistics
        start = time.monotonic()
        if run([*words, f"folder={folder}/{name}"], log):
            sys.exit(log.read_text())
    seconds, wanted, draws = time.monotonic() - start, state(folder / "whole"), random.Random(f"{seed} {case.name}")
    for number in count(1):
        before, place = row.kills, folder / f"run{number}"
        kill_until_done([*words, f"folder={place}"], place, kills, row, lambda: drawn(draws, seconds), log)
        row.runs += row.kills > before
        if run_folder.read_status(place).get("state") == "done" and state(place) == wanted:
            row.equal += row.kills > before
            shutil.rmtree(place)
        else:
            row.wrong.append(f"{place} is not what {folder / 'whole'} is")
        if row.kills >= kills or row.wrong:
            return row


def kill_until_done(words: list[str], place: Path, kills: int, row: Row, moment: Callable, log: Path) -> None:
    """Takes one training to its end, with as many kills on the way as come about, at most `kills` in all."""
    while row.kills < kills:
        code = run(words, log, moment())
        if code != -signal.SIGKILL or run_folder.read_status(place).get("state") == "done":
            break
        note(row, place)
        words = next_command(words, place)
    else:
        code = run(words, log)
    if code not in (0, -signal.SIGKILL):
        row.wrong.append(f"{' '.join(words)} ended with {code}, see {log}")


def next_command(words: list[str], place: Path) -> list[str]:
    """What goes on with a killed run: its start anew where it had not even told that it was a run."""
    if (place / run_folder.STATUS).exists():
        return ["resume", str(place)]
    shutil.rmtree(place, ignore_errors=True)
    return words


def note(row: Row, place: Path) -> None:
    """Counts a kill, by what it has hit and by what is left."""
    row.kills += 1
    row.in_save += MARKS[SAVE]
    row.in_scoring += MARKS[SCORING]
    if not (place / "checkpoints" / checkpoint.MANIFEST).exists():
        row.before_first_save += 1
        return
    try:
        checkpoint.load_checkpoint(checkpoint.find_checkpoint(str(place)))
        row.found += 1
    except UserError as error:
        row.wrong.append(str(error))


def state(place: Path) -> dict[str, Any]:
    """What a finished run has come to, as plain types: all in its checkpoint that counts, its losses and scores."""
    content = checkpoint.load_checkpoint(checkpoint.find_checkpoint(str(place)))
    kept = {key: content[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "seen")}
    lines = [
        json.dumps({**line, "time": 0}) for line in read_metric_lines(place / "metrics.jsonl") if "last" not in line
    ]
    return {**apply_to_collection(kept, torch.Tensor, bits), "history": lines}


def bits(tensor: torch.Tensor) -> tuple[str, bytes]:
    return f"{tensor.dtype} {[*tensor.shape]}", tensor.numpy().tobytes()


def shares(kills: int) -> list[int]:
    """How many of the kills each case gets."""
    parts = [max(1, round(case.share * kills)) for case in CASES]
    return [max(1, kills - sum(parts[1:])), *parts[1:]]


def table(rows: list[Row]) -> str:
    """In the form of the README."""
    total = Row("all", *(sum(getattr(row, name) for row in rows) for name in list(vars(rows[0]))[1:-1]))
    cells = [HEADS, ["---"] * len(HEADS), *(row.cells() for row in [*rows, total])]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tmp-elsewhere", type=Path, default=Path("/dev/shm"), help="for temporary files")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ganrun-crash-"))
    if folder.stat().st_dev == options.tmp_elsewhere.stat().st_dev:
        parser.error(f"{options.tmp_elsewhere} is on the file system of {folder}. Give another --tmp-elsewhere.")
    torch.set_num_threads(1)
    os.environ |= {"GANRUN_CACHE": f"{folder}/cache", "TMPDIR": str(options.tmp_elsewhere)}
    tempfile.tempdir = None  # looks it up again
    rows = []
    for number, (case, kills) in enumerate(zip(CASES, shares(options.kills), strict=True)):
        (folder / str(number)).mkdir()
        rows.append(measured(case, kills, options.seed, folder / str(number)))
        print(f"{case.name}: {rows[-1].kills} kills", file=sys.stderr)
    print(table(rows))
    wrong = [line for row in rows for line in row.wrong]
    if wrong:
        sys.exit("\n".join(wrong))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
