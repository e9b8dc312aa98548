"""ganrun eval path_length=N."""

import json
from pathlib import Path

import pytest
from helpers.model_training import CODED, RING, SMALL
from helpers.refused import check_refused

import ganrun


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    settings = {"cgan": SMALL["cgan"], "autoencoder": CODED["autoencoder"], "points": RING}
    for name, own in settings.items():
        ganrun.train([*own, "metrics.samples=16", "kimg=0.016", "logger=none", f"folder={folder / name}"])
    return folder


def test_the_command_measures_it_where_it_is_asked_for(runs, cli, capsys):
    short = ["samples=16", "copies=0"]
    for _ in range(2):
        assert cli.run("eval", str(runs / "cgan"), *short, "path_length=20") == 0
    assert cli.run("eval", str(runs / "cgan"), *short) == 0
    found = [json.loads(path.read_text()) for path in sorted(Path("outputs/eval").rglob("scores.json"))]
    values = [content["scores"].get("val/path_length_lenet") for content in found]
    assert values[0] == values[1] > 0
    assert values[2] is None
    basis = found[0]["basis"]["val/path_length_lenet"]
    assert (basis["samples"], basis["better"]) == (20, "lower")
    assert "val/path_length_lenet" in capsys.readouterr().out


BAD = {
    "autoencoder path_length=20": "path_length=20 needs a model whose samples are made of latents z alone",
    "points path_length=20": "path_length=20 needs the features of an extractor. Choose metrics=lenet",
    "cgan path_length=-1": "path_length",
    "cgan path_length=20 metrics=dinov2": "dinov2 sees images of 8 bits, as published",
}


@pytest.mark.parametrize("args", BAD)
def test_what_cannot_be_measured_is_refused(args, runs, cli, capsys):
    name, *settings = args.split()
    check_refused(cli, capsys, BAD[args], "eval", str(runs / name), *settings)


def test_folders_of_images_have_no_paths(cli, capsys):
    Path("photos").mkdir()
    args = ("eval", "--folder", "photos", "--against", "photos", "path_length=10")
    check_refused(cli, capsys, "path_length= has no effect on two folders of images", *args)
