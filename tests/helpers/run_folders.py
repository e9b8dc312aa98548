"""Run folders in every state, made of files alone, and a process that holds the lock of one."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.hostile import SEQUENCES, make_fifo, make_link, write_run, write_sweep

STATUS = {
    "monitor": "val/fd",
    "best": {"kimg": 2.0, "val/fd": 5.913},
    "last": {"kimg": 2.0, "val/fd": 6.2},
    "limit": {"kimg": 500, "minutes": None},
    "images_per_second": 1084.2,
    "device": "cpu",
    "choices": {"model": "dcgan", "data": "digits"},
}
HOLDER = """
import os, signal, sys, time
from pathlib import Path
from ganrun.training.lock import exclusive_lock

folder = Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (folder.parent / "signals").open("a").write("x"))
with exclusive_lock(folder):
    print("in", flush=True)
    parent = os.getppid()
    while not (folder.parent / "end").exists() and os.getppid() == parent:
        time.sleep(0.02)
"""


def make_run(folder: Path, **status) -> Path:
    """Write a run folder with a checkpoint. status: in the place of, or besides, what status.json has by default."""
    write_run(folder, {"seed": 1}, {1.0: 6.0, 2.0: 5.913}, **{"host": platform.node(), **STATUS, **status})
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "kimg000002.000.ckpt").write_bytes(b"x" * 5000)
    (folder / "train.log").write_text("the first message\nthe last message\n")
    return folder


def make_dead(folder):
    make_run(folder, state="running", kimg=306.2)


def make_elsewhere(folder):
    make_run(folder, state="running", host="node17")
    (folder / ".lock").write_text(json.dumps({"host": "node17", "pid": 77}))


def make_truncated(folder):
    (make_run(folder) / "status.json").write_text('{"state": "do')


def make_unknown_state(folder):
    make_run(folder, state="dancing")


def make_without_config(folder):
    (make_run(folder, state="interrupted") / "config.yaml").unlink()


def make_not_begun(folder):
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 1\n")
    (folder / ".lock").touch()


def make_with_fifo(folder):
    (make_run(folder) / "status.json").unlink()
    make_fifo(folder / "status.json")
    (folder / "train.log").unlink()
    make_fifo(folder / "train.log")


def make_with_link(folder):
    make_link(make_run(folder) / "samples", Path("/etc"))


def make_hostile(folder):
    text = "".join(each for each in SEQUENCES if each not in ("\udc9b", "\x00"))
    choices = {"model": text, "data": text}
    make_run(folder, state=f"done{text}", choices=choices, device=text, host=text, monitor=text, best={text: 3.0})
    (folder / "train.log").write_text(f"{text}\nganrun: done\n")
    (folder / "tags.json").write_text(json.dumps([text]))
    (folder / "config.yaml").write_text(json.dumps({"seed": text, "parent": "${oc.env:HOME}", "kimg": text}))


def make_sweep(folder):
    write_sweep(folder, [{"model": "gan"}])


CONDITIONS = {
    "done": make_run,
    "failed": lambda folder: make_run(folder, state="failed"),
    "dead": make_dead,
    "elsewhere": make_elsewhere,
    "truncated": make_truncated,
    "unknown state": make_unknown_state,
    "no config": make_without_config,
    "not begun": make_not_begun,
    "fifo": make_with_fifo,
    "link": make_with_link,
    "hostile": make_hostile,
    "sweep": make_sweep,
    "no run": lambda folder: folder.mkdir(),
    "missing": lambda folder: None,
}


class Holder:
    """A process that is in a run folder, and notes in a file beside it that it got SIGTERM."""

    def __init__(self, folder: Path):
        self.folder, self.notes = folder, folder.parent / "signals"
        command = [sys.executable, "-c", HOLDER, str(folder)]
        root = Path(__file__).resolve().parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout.readline() == "in\n"

    @property
    def signals(self) -> int:
        return len(self.notes.read_text()) if self.notes.exists() else 0

    def let_go(self) -> None:
        (self.folder.parent / "end").touch()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def copy_many(run: Path, outputs: Path, count: int) -> Path:
    """Copy a run folder so many times below another folder."""
    for number in range(count):
        shutil.copytree(run, outputs / f"gan-ring/{number:06d}")
    return outputs
