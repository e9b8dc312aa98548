"""What two processes make of a training's speed."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_loop import DCGAN, make_pictures

KIMG = 1.28
NOTE = """\
ganrun train trainer.devices=2 against trainer.devices=1 on the CPU, one thread each: images a second as status.json
tells them, of the same joint batch of 64. Two of two cores leave none for others."""


def images_per_second(devices: int, pictures: Path, folder: Path, kimg: float) -> float:
    words = [
        *DCGAN.overrides,
        f"data.root={pictures}",
        f"kimg={kimg}",
        f"trainer.devices={devices}",
        f"folder={folder}",
    ]
    off = ["metrics=none", "logger=none", "trainer.accelerator=cpu", "pictures_kimg=1000", "checkpoint.kimg=1000"]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "GANRUN_CACHE": str(pictures.parent / "cache")}
    subprocess.run(
        [sys.executable, "-m", "ganrun", "train", *words, *off], check=True, env=settings, capture_output=True
    )
    return json.loads((folder / "status.json").read_text())["images_per_second"]


def measured(rounds: int | None, is_quick: bool) -> list[dict]:
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        pictures = make_pictures(Path(name) / "pictures", 200)
        for pair in range(rounds or (2 if is_quick else 7)):
            speed = {
                devices: images_per_second(devices, pictures, Path(name) / f"{pair}-{devices}", KIMG)
                for devices in ((1, 2) if pair % 2 else (2, 1))
            }
            ratios.append(speed[2] / speed[1])
    return [{"work": f"{DCGAN.name}, two processes", "against": "one process", "ratios": ratios}]
