"""Images of any size that the networks take: a folder of photos that are not square, from training to samples."""

import re
import shlex

import numpy as np
import pytest
from helpers.runs import QUIET, equal, weights
from omegaconf import OmegaConf
from PIL import Image

from ganrun.cli.main import main

TINY = ["network.width=2", "batch_size=4", *QUIET]
PHOTOS = ["data=folder", "data.root=photos"]


@pytest.fixture(scope="module")
def photos(workplace):
    """Twelve photos of 80x60 pixels in two classes."""
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        path = workplace / "photos" / ("cats", "dogs")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(path)
    return workplace


@pytest.mark.parametrize(
    ("model", "size", "sides"),
    [
        ("model=dcgan", "96", (96, 96)),
        ("model=dcgan", "[48,64]", (48, 64)),
        ("model=cgan", "[64,96]", (64, 96)),
        ("model=cgan network=cgan_hidden", "[56,40]", (56, 40)),
        ("model=wgan", "[48,64]", (48, 64)),
    ],
)
def test_the_convolutional_models_train_and_draw_samples_of_the_size(photos, tmp_path, model, size, sides):
    run, out = tmp_path / "run", tmp_path / "samples"
    args = [*model.split(), *PHOTOS, f"data.size={size}", "kimg=0.016", *TINY, f"folder={run}"]
    assert main(["train", *args]) == 0
    assert OmegaConf.load(run / "config.yaml").data.shape == [3, *sides]
    assert main(["sample", str(run), "n=4", "as=folder", f"out={out}"]) == 0
    shapes = {np.asarray(Image.open(path)).shape for path in out.rglob("*.png")}
    assert (*sides, 3) in shapes


def test_a_run_at_height_and_width_resumes_bit_for_bit(photos, tmp_path):
    args = ["train", "model=dcgan", *PHOTOS, "data.size=[48,64]", "data.fit=pad", *TINY]
    assert main([*args, "kimg=0.032", f"folder={tmp_path / 'whole'}"]) == 0
    assert main([*args, "kimg=0.016", f"folder={tmp_path / 'parts'}"]) == 0
    assert main(["resume", str(tmp_path / "parts"), "kimg=0.032"]) == 0
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_train_resume_continues_a_run_whose_classes_are_folders(photos, tmp_path):
    args = ["train", "model=cgan", *PHOTOS, "data.size=[28,32]", *TINY, f"folder={tmp_path / 'run'}"]
    assert main([*args, "kimg=0.008"]) == 0
    assert main([*args, "kimg=0.016", "resume=true"]) == 0
    assert main([*args, "kimg=0.016", "resume=true"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("size", ["100", "[50,70]", "1000"])
def test_the_size_that_a_message_advises_is_accepted(photos, capsys, monkeypatch, size):
    monkeypatch.setattr("ganrun.training.dry_run.rehearse", lambda experiment: None)  # 1024 x 1024 takes long
    args = ["train", "model=dcgan", "data=digits", *TINY, "dry_run=true"]
    assert main([*args, f"data.size={size}"]) == 2
    (advice,) = re.findall(r"nearest such size is (\S+):", capsys.readouterr().err)
    assert main([*args, *shlex.split(advice)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("model", ["dcgan", "cgan"])
def test_the_networks_that_a_message_advises_are_accepted(photos, capsys, model):
    args = ["train", f"model={model}", "data=digits", "data.size=27", "batch_size=4", *QUIET, "dry_run=true"]
    assert main(args) == 2
    (names,) = re.findall(r"Networks that fit: (.*)\.", capsys.readouterr().err)
    for name in names.split(", "):
        assert main([*args, f"network={name}"]) == 0


def test_cyclegan_trains_on_images_that_are_not_square(photos, tmp_path):
    run = tmp_path / "run"
    args = ["model=cyclegan", "data=unpaired_digits", "data.size=[24,32]", "network.blocks=1", "kimg=0.008", *TINY]
    assert main(["train", *args, f"folder={run}"]) == 0
    assert main(["translate", str(run), "input=photos/cats", "size=data", f"out={tmp_path / 'out'}"]) == 0
    translations = [np.asarray(Image.open(path)) for path in (tmp_path / "out" / "pictures").glob("*.png")]
    assert [image.shape for image in translations] == 6 * [(24, 32, 3)]


def test_the_help_of_a_folder_of_images_says_which_sizes_there_are(capsys):
    assert main(["train", "data=folder", "--help"]) == 0
    assert "[48,64]" in capsys.readouterr().out
    assert main(["list", "network"]) == 0
    assert "4 to 8 times a power of two" in capsys.readouterr().out
