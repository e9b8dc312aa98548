"""For every model, a run that is interrupted after any batch and resumed equals the uninterrupted run bit for bit.

Batches are indexed from arrays in an order that depends only on the seed, without worker processes.
"""

import json
import shutil

import numpy as np
import pytest
from helpers.runs import lines, load_checkpoint, status
from lightning_utilities.core.apply_func import apply_to_collection
from PIL import Image
from torch import Tensor

from ganrun.cli.main import main

pytestmark = pytest.mark.slow
ALL = (
    "batch_size=4 data.size=28 data.channels=1 data.flip=true ema.half_life_kimg=0.01 schedule=linear_decay "
    "log_every=3 logger=none checkpoint.every_kimg=0.004 validate_kimg=0.012 pictures_kimg=0.008 metrics.samples=20"
)
GENERATED = "data=folder data.root=folder metrics=lenet"
SMALL = f"{GENERATED} network.width=4"
MODELS = {  # {model: (settings, number of batches)}
    "gan": (f"{GENERATED} network=mlp network.generator.hidden=[8] network.discriminator.hidden=[8]", 7),
    "dcgan": (SMALL, 7),
    "wgan": (SMALL, 12),  # the generator trains on every fifth batch
    "cgan": (SMALL, 7),
    "lsgan": (SMALL, 7),
    "wgan_gp": (f"{SMALL} model.d_steps=2", 7),
    "sngan": (f"{SMALL} model.d_steps=2", 7),
    "dragan": (SMALL, 7),
    "r3gan": (f"{GENERATED} network.width=8 regularizer.r1.every=2 regularizer.r2.every=3", 7),
    "cyclegan": (
        "data=unpaired data.root=unpaired metrics=translation_lenet network=cyclegan_small network.width=4 "
        "network.blocks=1 model.pool=3",
        7,
    ),
}


@pytest.fixture(scope="module")
def images(workplace):
    """20 images of two classes, and 20 of each of two domains: an epoch is exactly five batches."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    write_images(workplace / "folder", noise[:10], ["a", "b"])
    write_images(workplace / "unpaired", noise, ["trainA", "trainB", "testA", "testB"])


def write_images(folder, pixels, names):
    for path in (folder / name for name in names):
        path.mkdir(parents=True)
        for i, image in enumerate(pixels):
            Image.fromarray(255 - image if path.name[-1] in "bB" else image).save(path / f"{i}.png")


def training_args(model):
    settings, batches = MODELS[model]
    return [f"model={model}", *settings.split(), *ALL.split(), f"kimg={batches * 0.004:.3f}"], batches


def copy_as_killed(run, batches, folder):
    """Copy the run as a kill would leave it, right after the checkpoint after so many batches."""
    shutil.copytree(run, folder)
    name, path = f"kimg{batches * 0.004:010.3f}.ckpt", folder / "checkpoints" / "manifest.json"
    manifest = json.loads(path.read_text())
    kept = [other for other in manifest["kept"] if other <= name]
    path.write_text(json.dumps({**manifest, "last": name, "kept": kept}))
    path = folder / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running", "kimg": batches * 0.004}))
    return folder


def outcome(run):
    """All weights, optimizer and schedule states and counters of the last checkpoint as bytes, and the scores."""
    saved = load_checkpoint(run)
    kept = {key: saved[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "seen")}
    scores = [json.dumps({**line, "time": 0}) for line in lines(run, "protocol")]
    return {**apply_to_collection(kept, Tensor, to_bytes), "scores": scores}


def curves(run):
    """{(kimg, name): value}, without gradients, which are those of the last turns in this process."""
    entries = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        (line["kimg"], name): line[name]
        for line in entries
        for name in line
        if name.startswith("train/") and not name.endswith("/gradient")
    }


def to_bytes(tensor):
    return str(tensor.dtype), tuple(tensor.shape), tensor.numpy().tobytes()


@pytest.mark.parametrize("model", MODELS)
def test_a_run_resumed_after_any_batch_equals_the_uninterrupted_run(images, tmp_path, model):
    args, batches = training_args(model)
    whole = tmp_path / "whole"
    assert main(["train", *args, f"folder={whole}"]) == 0
    expected = outcome(whole)
    assert len(expected["scores"]) == (batches + 2) // 3  # at 3, 6 ... and at the end
    for done in range(1, batches + 1):
        run = copy_as_killed(whole, done, tmp_path / f"{done}")
        assert main(["resume", str(run)]) == 0
        result = outcome(run)
        assert [key for key in expected if result[key] != expected[key]] == [], f"after {done} batches"
        assert curves(run) == curves(whole)
        assert status(run)["state"] == "done"
