"""Measure the speed of training with two processes against one."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench_loop import DCGAN, make_images

BATCHES, BATCH = 16, 64
NOTE = f"""\
ganrun train trainer.devices=2 against trainer.devices=1 on the CPU, one thread each: images per second from
status.json. One process has batches of {BATCH}; two processes share such a batch, or have one each."""
OFF = "metrics=none logger=none trainer.accelerator=cpu pictures_kimg=1000 checkpoint.kimg=1000"


def images_per_second(devices: int, batch: int, images: Path, folder: Path) -> float:
    length = [f"batch_size={batch}", f"kimg={BATCHES * batch / 1000}"]
    overrides = [*DCGAN.overrides, *length, f"data.root={images}", f"trainer.devices={devices}", f"folder={folder}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANRUN_CACHE": str(images.parent / "cache")}
    command = [sys.executable, "-m", "ganrun", "train", *overrides, *OFF.split()]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return json.loads((folder / "status.json").read_text())["images_per_second"]


def parts(rounds: int | None, is_quick: bool) -> dict[str, Callable[[], list[dict]]]:
    return {"two processes": lambda: measure(rounds or (2 if is_quick else 7))}


def measure(rounds: int) -> list[dict]:
    works = {f"two processes, batch {BATCH}": BATCH, f"two processes, batch {BATCH} each": 2 * BATCH}
    ratios = {name: [] for name in works}
    with tempfile.TemporaryDirectory() as name:
        images = make_images(Path(name) / "images", 200)
        for pair in range(rounds):
            alone = images_per_second(1, BATCH, images, Path(name) / f"{pair}-alone")
            for work, batch in works.items():
                ratios[work].append(images_per_second(2, batch, images, Path(name) / f"{pair}-{batch}") / alone)
    return [{"work": work, "against": "one process", "ratios": values} for work, values in ratios.items()]
