"""A training that is killed (SIGKILL) after a batch and resumed, against one that is not."""

import os
import signal
import subprocess
import sys

from helpers.runs import equal, load_checkpoint

from ganrun.cli.main import main
from ganrun.models.base import Adversarial

SETTINGS = [
    "batch_size=8",
    "kimg=0.128",
    "checkpoint.kimg=0.04",
    "ema.half_life_kimg=0.1",
    "metrics=none",
    "logger=none",
]


def assert_resumes_exactly(folder, *args: str) -> None:
    """Train for 16 batches below the folder; a second run is killed after 13 and resumed from the tenth.

    Needs the working folder `folder`. Compares weights, buffers, and optimizers bit for bit.
    """
    command = ["train", *args, *SETTINGS]
    assert main([*command, "folder=whole"]) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    script = [sys.executable, __file__, "13", *command, "folder=killed"]
    assert subprocess.run(script, cwd=folder, env=environment, capture_output=True).returncode == -signal.SIGKILL
    assert main(["resume", "killed"]) == 0
    whole, killed = load_checkpoint(folder / "whole"), load_checkpoint(folder / "killed")
    assert whole["seen"] == killed["seen"]
    assert equal(whole["state_dict"], killed["state_dict"])
    for one, other in zip(whole["optimizer_states"], killed["optimizer_states"], strict=True):
        for number, state in one["state"].items():
            assert equal(state, other["state"][number])


def kill_after(batches: int) -> None:
    """Let this process be killed when a model has trained on so many batches."""
    train_on_batch = Adversarial._train_on_batch

    def train_or_die(model, batch):
        train_on_batch(model, batch)
        if model.batches_seen == batches:
            os.kill(os.getpid(), signal.SIGKILL)

    Adversarial._train_on_batch = train_or_die


if __name__ == "__main__":
    kill_after(int(sys.argv[1]))
    sys.argv[1:2] = []
    sys.exit(main(sys.argv[1:]))
