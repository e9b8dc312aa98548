"""sample and translate: what they make of a run folder alone, a checkpoint file or the word last."""

import shlex

import numpy as np
import pytest
import torch
from helpers.runs import RING, SCORED, load_checkpoint
from omegaconf import OmegaConf
from PIL import Image

from ganrun import seeds
from ganrun.cli.main import main
from ganrun.data.images import to_float, to_uint8
from ganrun.training import inference

WORDS = ["network.width=4", "batch_size=4", "init.std=0.3", "logger=none"]  # so wide that scores and pixels differ
CGAN = ["model=cgan", "data=digits", *WORDS, *SCORED, "kimg=0.032"]
TRANSLATION = ["model=cyclegan", "data=unpaired_digits", "data.size=32", "network.blocks=1", "kimg=0.004"]


@pytest.fixture(scope="module")
def place(workplace):
    """The working folder, with runs of gan on points, cyclegan, and cgan; the weights of the last are averaged."""
    assert main(["train", *RING, "folder=points"]) == 0
    assert main(["train", *TRANSLATION, *WORDS, "metrics=none", "folder=cyclegan"]) == 0
    assert main(["train", *CGAN, "ema.half_life_kimg=0.02"]) == 0
    return workplace


@pytest.fixture(scope="module")
def cgan(place):
    """The run that `last` is."""
    (run,) = (place / "outputs" / "train" / "cgan-digits").iterdir()
    return run


@pytest.fixture
def make(place, tmp_path):
    """Runs a command with an `out` of its own, and gives that folder."""

    def make(words, out="out"):
        assert main([*shlex.split(words), f"out={tmp_path / out}"]) == 0
        return tmp_path / out

    return make


@pytest.fixture
def drawn(make):
    """The arrays that `ganrun sample` draws."""

    def drawn(words, out="out"):
        with np.load(make(f"sample {words} as=npz", out) / "samples.npz") as found:
            return dict(found)

    return drawn


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def loaded(run):
    return inference.load_trained_model(OmegaConf.create({"run": str(run), "which": "last", "device": "cpu"})).model


def test_the_chosen_classes_take_turns_in_any_number_of_batches(drawn):
    found = drawn("last n=7 batch_size=3 classes=[3,7]")
    assert (found["x"].shape, found["x"].dtype) == ((7, 28, 28, 1), np.uint8)
    assert found["y"].tolist() == [3, 7, 3, 7, 3, 7, 3]
    whole, threes = drawn("last n=7 classes=[3,7]", "whole"), drawn("last n=7 classes=3", "threes")
    difference = np.abs(found["x"].astype(int) - threes["x"]).reshape(7, -1).max(1)
    assert difference[::2].max() <= 1  # the same noise, the same class
    assert difference[1::2].min() > 1
    assert np.abs(found["x"].astype(int) - whole["x"]).max() <= 1
    assert found["x"].std(0).mean() > 2


def test_the_seed_makes_the_samples(drawn):
    first, again, other = (drawn(f"last n=5 seed={seed}", f"{i}")["x"] for i, seed in enumerate((1, 1, 2)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_points_are_arrays_of_numbers_or_a_scatter(drawn, make):
    found = drawn("points n=9")
    assert list(found) == ["x"]
    assert found["x"].dtype == np.float32
    model = loaded("points")
    assert found["x"] == pytest.approx(model.sample(9, generator=seeds.generator(0)).numpy(), abs=1e-6)
    assert pixels(make("sample points n=9", "scatter") / "grid.png").shape == (400, 400, 3)


def test_a_grid_and_a_folder_hold_the_samples_of_the_array(drawn, make):
    x, y = drawn("last n=20").values()
    grid = pixels(make("sample last n=20 columns=8", "grid") / "grid.png")
    assert grid.shape == (3 * 30 + 2, 8 * 30 + 2, 3)
    folder = make("sample last n=20 as=folder", "folder")
    assert len({*folder.rglob("*.png")}) == 20
    for i in range(20):
        top, left = 2 + i // 8 * 30, 2 + i % 8 * 30
        assert (grid[top : top + 28, left : left + 28] == x[i]).all()
        assert (pixels(folder / str(y[i]) / f"{i:06d}.png") == x[i]).all()


def test_samples_come_from_the_averaged_weights_alone(cgan, drawn, tmp_path):
    saved = load_checkpoint(cgan)
    for prefix in ("generator.", "averaged.generator."):
        state = {k: torch.zeros_like(v) if k.startswith(prefix) else v for k, v in saved["state_dict"].items()}
        torch.save({**saved, "state_dict": state}, tmp_path / f"{prefix}ckpt")
    plain = drawn("last n=5")["x"]
    assert np.array_equal(drawn(f"{tmp_path}/generator.ckpt n=5", "live")["x"], plain)
    assert (drawn(f"{tmp_path}/averaged.generator.ckpt n=5", "mean")["x"] == 128).all()


@pytest.fixture
def photos(tmp_path):
    """Pictures of several sizes and modes."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 4), dtype=np.uint8)
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.fromarray(noise[0, ..., :3]).save(tmp_path / "photos" / "colour.png")
    Image.fromarray(noise[1, ..., 0]).resize((40, 56)).save(tmp_path / "photos" / "grey.png")
    Image.fromarray(noise[2]).save(tmp_path / "photos" / "deep" / "veiled.png")
    return tmp_path / "photos"


def test_what_the_summary_advises_works(cli, capsys, photos):
    assert main(["train", *TRANSLATION, *WORDS, "metrics=none", "folder=run"]) == 0
    (advice,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next")]
    for command in advice.removeprefix("next").split("   or   "):
        assert main(shlex.split(command.replace("FOLDER", str(photos)))[1:]) == 0


@pytest.mark.parametrize("to", ["a", "b"])
def test_pictures_are_translated_to_either_domain(make, photos, to):
    out = make(f"translate cyclegan input={photos} to={to} batch_size=2")
    assert {path.name for path in out.iterdir()} == {"pictures", "pairs.png"}
    found = {str(path.relative_to(out / "pictures")) for path in out.glob("pictures/**/*.png")}
    assert found == {"colour.png", "grey.png", "deep/veiled.png"}
    pairs, there = (
        pixels(out / "pairs.png"),
        [pixels(out / "pictures" / f"{name}.png") for name in ("colour", "deep/veiled", "grey")],
    )
    assert [picture.shape for picture in there] == 3 * [(32, 32, 3)]
    x = pixels(photos / "colour.png")
    model = loaded("cyclegan")
    assert np.abs(there[0] - translated(model, x, to)).max() <= 1
    assert np.abs(there[0] - translated(model, x, {"a": "b", "b": "a"}[to])).max() > 1
    assert pairs.shape == (32 + 4, 6 * 34 + 2, 3)
    assert (pairs[2:34, 2:34] == x).all()
    for left, picture in zip((36, 104, 172), there, strict=True):
        assert (pairs[2:34, left : left + 32] == picture).all()


def translated(model, x, to):
    """Of one picture [H, W, 3]."""
    x = to_float(torch.tensor(x).permute(2, 0, 1))[None]
    return to_uint8(model.translate(x, to))[0].permute(1, 2, 0).int().numpy()


@pytest.mark.parametrize("name", ["deep/colour.png", "colour.bmp", "pairs.png"])
def test_no_translation_replaces_another(make, photos, name):
    Image.new("RGB", (32, 32)).save(photos / name)
    out = make(f"translate cyclegan input={photos}")
    assert len({*out.rglob("*.png")}) == 4 + 1  # and the pairs
