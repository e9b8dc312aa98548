"""A training that goes on from any batch of it ends at what the unbroken one ends at, for every model.

Batches are indexed from arrays, in an order that is a function of the seed: there are no workers that load them.
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
    "log_every=1 logger=none checkpoint.every_kimg=0.004 validate_kimg=0.012 pictures_kimg=0.008 metrics.samples=20"
)
GENERATED = "data=folder data.root=folder metrics=lenet"
SMALL = f"{GENERATED} network.width=4"
MODELS = {  # settings, batches
    "gan": (f"{GENERATED} network=mlp network.generator.hidden=[8] network.discriminator.hidden=[8]", 7),
    "dcgan": (SMALL, 7),
    "wgan": (SMALL, 12),  # the generator's turn comes with each fifth
    "cgan": (SMALL, 7),
    "cyclegan": (
        "data=unpaired data.root=unpaired metrics=translation_lenet network=cyclegan_small network.width=4 "
        "network.blocks=1 model.pool=3",
        7,
    ),
}


@pytest.fixture(scope="module")
def pictures(workplace):
    """20 pictures of two classes, and 20 of each of two domains: five batches, so that an epoch ends with a batch."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    write_pictures(workplace / "folder", noise[:10], ["a", "b"])
    write_pictures(workplace / "unpaired", noise, ["trainA", "trainB", "testA", "testB"])


def write_pictures(folder, pixels, names):
    for place in (folder / name for name in names):
        place.mkdir(parents=True)
        for i, picture in enumerate(pixels):
            Image.fromarray(255 - picture if place.name[-1] in "bB" else picture).save(place / f"{i}.png")


def words_of(model):
    settings, batches = MODELS[model]
    return [f"model={model}", *settings.split(), *ALL.split(), f"kimg={batches * 0.004:.3f}"], batches


def cut(run, batches, folder):
    """A copy of the run as a kill right after the save after so many batches leaves it."""
    shutil.copytree(run, folder)
    name, path = f"kimg{batches * 0.004:010.3f}.ckpt", folder / "checkpoints" / "manifest.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "last": name, "kept": [kept for kept in told["kept"] if kept <= name]}))
    path = folder / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running", "kimg": batches * 0.004}))
    return folder


def outcome(run):
    """Weights, averages, pool, optimizers, schedules and counts of the last checkpoint, bit for bit; the scores."""
    saved = load_checkpoint(run)
    kept = {key: saved[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "seen")}
    scores = [json.dumps({**line, "time": 0}) for line in lines(run, "protocol")]
    return {**apply_to_collection(kept, Tensor, bits), "scores": scores}


def losses(run):
    """Those of each reading, by kimg and name."""
    told = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    return {(line["kimg"], name): line[name] for line in told for name in line if name.endswith("/loss")}


def bits(tensor):
    return str(tensor.dtype), tuple(tensor.shape), tensor.numpy().tobytes()


@pytest.mark.parametrize("model", MODELS)
def test_a_training_that_goes_on_from_any_batch_ends_at_what_the_unbroken_one_ends_at(pictures, tmp_path, model):
    words, batches = words_of(model)
    whole = tmp_path / "whole"
    assert main(["train", *words, f"folder={whole}"]) == 0
    wanted = outcome(whole)
    assert len(wanted["scores"]) == (batches + 2) // 3  # at 3, 6 ... and at the end
    for done in range(1, batches + 1):
        run = cut(whole, done, tmp_path / f"{done}")
        assert main(["resume", str(run)]) == 0
        found = outcome(run)
        assert [key for key in wanted if found[key] != wanted[key]] == [], f"after {done} batches"
        assert losses(run).items() <= losses(whole).items()  # a generator's, until its next turn, is not known again
        assert {kimg for kimg, _ in losses(run)} == {kimg for kimg, _ in losses(whole)}
        assert status(run)["state"] == "done"
