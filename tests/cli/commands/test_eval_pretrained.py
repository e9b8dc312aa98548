"""ganrun eval with the extractors by transformers: the real command on small networks with random weights."""

import json
from pathlib import Path

import pytest
from helpers.pretrained import random_images, without, write_small_clip, write_small_dinov2
from PIL import Image

from ganrun.cli.main import main

SMALL = "defaults:\n  - {name}\n  - _self_\nextractor:\n  _target_: helpers.pretrained.{kind}\n"
WRITE = {"dinov2": write_small_dinov2, "clip": write_small_clip}


@pytest.fixture(scope="module")
def work(workplace):
    """The working folder: two folders of images, configs of small networks, and their weights."""
    for seed, name in enumerate(("fakes", "photos")):
        (workplace / name).mkdir()
        for i, image in enumerate(random_images(40, 3, 30, 26, seed=seed)):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(workplace / name / f"{i}.png")
    (workplace / "own" / "metrics").mkdir(parents=True)
    for name, kind in {"dinov2": "SmallDINOv2", "clip": "SmallCLIP"}.items():
        (workplace / "own" / "metrics" / f"small_{name}.yaml").write_text(SMALL.format(name=name, kind=kind))
        WRITE[name](workplace / name)
    return workplace


def command(name, weights, *args):
    folders = ["--folder", "fakes", "--against", "photos", "--config-dir", "own"]
    return main(["eval", *folders, f"metrics=small_{name}", f"metrics.weights={weights}", *args])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dinov2", ["fd_dinov2", "diversity_dinov2", "fd_error_dinov2", "kid_dinov2", "precision_dinov2"]),
        ("clip", ["cmmd", "diversity_clip", "fd_clip", "precision_clip", "recall_clip"]),
    ],
)
def test_the_suites_scores_are_measured_and_named(work, name, expected):
    before = {*Path("outputs").glob("eval/*")}
    assert command(name, f"{name}/model.safetensors") == 0
    (new,) = {*Path("outputs").glob("eval/*")} - before
    result = json.loads((new / "scores.json").read_text())
    assert {f"val/{number}" for number in expected} <= result["scores"].keys()
    assert not [number for number in result["scores"] if number.startswith(("val/is", "val/accuracy"))]
    assert result["protocol"]["extractor"] == name
    assert len(result["protocol"]["weights"]) == len("sha256:") + 16


def test_the_file_of_another_network_ends_the_command_with_one_message(work, capsys):
    assert command("clip", "dinov2/model.safetensors") == 2
    (message,) = [line for line in capsys.readouterr().err.splitlines() if not line.endswith("left out: none")]
    assert message.startswith("ganrun: dinov2/model.safetensors does not fit CLIPVisionModelWithProjection")


def test_an_incomplete_file_ends_the_command_with_one_message(work, capsys):
    path = without(work / "dinov2" / "model.safetensors", "layernorm.bias")
    capsys.readouterr()
    assert command("dinov2", path) == 2
    assert "1 missing (first: layernorm.bias)" in capsys.readouterr().err


def test_a_score_of_a_classifier_is_refused(work, capsys):
    assert command("dinov2", "dinov2/model.safetensors", "metrics.final=[is]") == 2
    assert "has is, but it needs the logits of a classifier" in capsys.readouterr().err
