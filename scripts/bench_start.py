"""Measure how long `ganrun train` takes to its first training step, and a sweep of short jobs."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NOTE = """\
CPU seconds of a process from the command to the end of its first batch, against importing the libraries alone: .8
means that training starts in 1.25 times the time of the imports. Sweeps: forked jobs against jobs that are new
Pythons."""
IMPORTS = "import torch, pytorch_lightning, torchmetrics, hydra"
MODEL = """
import os
from ganrun.models.dcgan import DCGAN


class Model(DCGAN):
    def _train_on_batch(self, batch):
        super()._train_on_batch(batch)
        os._exit(0)
"""
COMMAND = "-m ganrun train model._target_=mine.Model trainer.accelerator=cpu"
SWEEP = "-m ganrun train -m experiment=ring kimg=1 trainer.accelerator=cpu sweep.threads=1"


def cpu_seconds(args: list[str], folder: str) -> float:
    """Run Python with these arguments and return the CPU time of the process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANRUN_CACHE": f"{folder}/cache"}
    subprocess.run([sys.executable, *args], check=True, cwd=folder, env=environment, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def parts(rounds: int | None, is_quick: bool) -> dict[str, Callable[[], list[dict]]]:
    jobs = 2 if is_quick else 20
    return {
        "first step": lambda: measure_first_step(rounds or (2 if is_quick else 15)),
        f"a sweep of {jobs} ring jobs of 1 kimg": lambda: measure_sweep(rounds or (1 if is_quick else 6), jobs),
    }


def measure_sweep(rounds: int, jobs: int) -> list[dict]:
    """Measure a sweep of some jobs, by turns with its jobs forked and each a new Python."""
    command = [*SWEEP.split(), f"seed={','.join(map(str, range(jobs)))}"]
    ratios: dict[str, list[float]] = {"CPU": [], "wall-clock": []}
    for _ in range(rounds):
        forked, new = (sweep_seconds([*command, f"sweep.start={start}"]) for start in ("fork", "spawn"))
        for clock, values in ratios.items():
            values.append(new[clock] / forked[clock])
    work = f"a sweep of {jobs} ring jobs of 1 kimg"
    return [{"work": f"{work}, {clock}", "against": "sweep.start=spawn", "ratios": ratios[clock]} for clock in ratios]


def sweep_seconds(args: list[str]) -> dict[str, float]:
    """Return the time that a sweep takes by each clock."""
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        return {"CPU": cpu_seconds(args, folder), "wall-clock": time.perf_counter() - before}


def measure_first_step(rounds: int) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mine.py").write_text(MODEL)
        commands = {"metrics=lenet": [*COMMAND.split()], "metrics=none": [*COMMAND.split(), "metrics=none"]}
        for args in commands.values():
            cpu_seconds(args, folder)  # fills the caches of data and statistics
        imports = ["-c", f"{IMPORTS}, os; os._exit(0)"]
        ratios = {name: [] for name in commands}
        for _ in range(rounds):
            for name, args in commands.items():
                ratios[name].append(cpu_seconds(imports, folder) / cpu_seconds(args, folder))
    return [{"work": f"first step, {name}", "against": IMPORTS, "ratios": values} for name, values in ratios.items()]
