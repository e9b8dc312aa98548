"""How long `ganrun train` takes to its first training step."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

NOTE = """\
CPU seconds of a process from the command to the end of its first batch, against importing the libraries alone: .8
means that a training starts in 1.25 times the time that the imports take."""
IMPORTS = "import torch, pytorch_lightning, torchmetrics, hydra"
MINE = """
import os
from ganrun.models.dcgan import DCGAN


class Model(DCGAN):
    def _train_on_batch(self, batch):
        super()._train_on_batch(batch)
        os._exit(0)
"""
COMMAND = "-m ganrun train model._target_=mine.Model trainer.accelerator=cpu"


def cpu_seconds(words: list[str], folder: str) -> float:
    """Of a process, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "GANRUN_CACHE": f"{folder}/cache"}
    subprocess.run([sys.executable, *words], check=True, cwd=folder, env=settings, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(rounds: int | None, is_quick: bool) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mine.py").write_text(MINE)
        words = {"metrics=lenet": [*COMMAND.split()], "metrics=none": [*COMMAND.split(), "metrics=none"]}
        for each in words.values():
            cpu_seconds(each, folder)  # the data are prepared and real statistics cached once and for all
        alone = ["-c", f"{IMPORTS}, os; os._exit(0)"]
        ratios = {name: [] for name in words}
        for _ in range(rounds or (2 if is_quick else 15)):
            for name, each in words.items():
                ratios[name].append(cpu_seconds(alone, folder) / cpu_seconds(each, folder))
    return [{"work": f"first step, {name}", "against": IMPORTS, "ratios": found} for name, found in ratios.items()]
