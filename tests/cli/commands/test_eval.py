"""ganrun eval: a table with all that a score is read against, the same digits each time, two folders without a run."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.runs import RING, files, lines, load_checkpoint, rows, status
from helpers.weights import write_random_inception
from hydra import compose, initialize_config_dir
from PIL import Image

from ganrun.cli.main import main
from ganrun.data.digits import load_shipped_digits
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.scores.declarations import better_direction
from ganrun.paths import conf_dir

WORDS = ["model=cgan", "data=digits", "network.width=4", "batch_size=4", "init.std=0.3", "logger=none", "kimg=0.032"]
OFTEN = ["validate_kimg=0.008", "metrics.samples=20", "metrics.reference=200"]
ALL = ["metrics.scores=[fd,is,kid,prdc,intra,diversity,fd_infinity]"]  # what is left to the end, too
TINY = "# @package _global_\n# Tiny\ndefaults:\n  - _self_\n  - override /metrics: lenet\nsamples: 30\nsplits: [test]\n"


@pytest.fixture(scope="module")
def place(workplace):
    """The working folder, with a run of cgan and one of gan on points; the weights of cgan are averaged."""
    assert main(["train", *RING, "folder=points"]) == 0
    assert main(["train", *WORDS, *OFTEN, *ALL, "ema.half_life_kimg=0.02", "folder=scored"]) == 0
    own = workplace / "own" / "protocol"
    own.mkdir(parents=True)
    (own / "tiny.yaml").write_text(TINY)
    return workplace


@pytest.fixture(scope="module")
def scored(place):
    return place / "scored"


@pytest.fixture
def evaluate(place):
    """scores.json of an evaluation."""

    def evaluate(*words):
        before = {*Path("outputs").glob("eval/*")}
        assert main(["eval", *map(str, words)]) == 0
        (new,) = {*Path("outputs").glob("eval/*")} - before
        return json.loads((new / "scores.json").read_text())

    return evaluate


@pytest.mark.parametrize("which", ["last", "best"])
def test_the_scores_are_those_of_the_training(scored, evaluate, which):
    line = next(line for line in lines(scored, "protocol") if line["kimg"] == status(scored)[which]["kimg"])
    found = evaluate("scored", f"which={which}", "copies=20")
    assert (found["kimg"], Path(found["checkpoint"]).parts[:2]) == (line["kimg"], ("scored", "checkpoints"))
    scores = {name: value for name, value in line.items() if name.startswith("val/")}
    assert {name: found["scores"][name] for name in scores} == scores
    assert {"val/near_copies", "val/near_copies_lenet"} <= found["scores"].keys()
    shared = line["protocol"].keys() & found["protocol"].keys()
    assert {key: found["protocol"][key] for key in shared} == {key: line["protocol"][key] for key in shared}
    assert {"extractor", "weights", "samples", "reference", "averaged_weights"} <= shared
    assert (found["protocol"]["seed"], found["versions"]["torch"]) == (0, torch.__version__)


def test_the_best_is_not_the_last_here(scored):
    assert status(scored)["best"]["kimg"] < status(scored)["last"]["kimg"]


@pytest.mark.slow
def test_two_evaluations_of_a_checkpoint_are_the_same_to_the_last_digit(scored, evaluate):
    words = ["metrics=lenet", "metrics.reference=150", "samples=20", "copies=20"]
    measured, cached = evaluate("scored", *words), evaluate("scored", *words)
    assert all(math.isfinite(value) for value in measured["scores"].values())
    assert json.dumps(cached) == json.dumps(measured)


def test_a_run_folder_and_its_checkpoint_file_score_alike(scored, evaluate):
    whole, file = evaluate("scored", "copies=0"), evaluate("scored/checkpoints/kimg000000.032.ckpt", "copies=0")
    assert json.dumps(file) == json.dumps(whole)


def test_more_samples_or_another_seed_or_split_score_differently(scored, evaluate):
    words = ([], ["samples=30"], ["seed=1"], ["splits=[test]"])
    found = [evaluate("scored", "copies=0", *more) for more in words]
    told = [found[1]["protocol"]["samples"], found[2]["protocol"]["seed"], found[3]["protocol"]["reference_splits"]]
    assert told == [30, 1, ["test"]]
    assert len({scores["scores"]["val/fd_lenet"] for scores in found}) == 4


def test_a_training_that_is_scored_has_the_weights_of_one_that_is_not_bit_for_bit(place, scored):
    words = [*WORDS, "ema.half_life_kimg=0.02", "validate_kimg=0.008", "metrics=none", "folder=unscored"]
    assert main(["train", *words]) == 0
    assert [line["kimg"] for line in lines(scored, "protocol")] == [0.008, 0.016, 0.024, 0.032]
    first, other = load_checkpoint(scored), load_checkpoint(place / "unscored")
    assert first["state_dict"].keys() == other["state_dict"].keys()
    assert all(torch.equal(value, other["state_dict"][name]) for name, value in first["state_dict"].items())
    assert str(first["optimizer_states"]) == str(other["optimizer_states"])


def test_one_table_shows_each_score_with_its_direction_floor_count_and_protocol(scored, evaluate, capsys):
    found = evaluate("scored", "copies=50")
    out = capsys.readouterr().out
    head, *told = rows(out)
    assert head == ["score", "value", "better", "real", "N", "how"]
    names = [row[0] for row in told if row[0]]
    assert names == [*found["scores"]]
    for name, value, direction, real, count, how in (row for row in told if row[0]):
        basis, floor = found["basis"][name], found["floors"].get(name)
        assert (value, direction) == (f"{found['scores'][name]:.4g}", better_direction(name))
        assert (real, count) == ("" if floor is None else f"{floor:.4g}", f"{basis['samples']:,}")
        assert how
        assert basis["how"].startswith(how)
    assert out.count("┏") == 1


def test_what_all_scores_have_in_common_stands_below_the_table_once(scored, evaluate, capsys):
    evaluate("scored", "copies=0")
    below = capsys.readouterr().out.partition("└")[2].splitlines()[1:]
    told = dict(re.split(r"  +", line, maxsplit=1) for line in below)
    facts = ["extractor", "weights", "resize", "reference_splits", "averaged_weights", "seed", "device"]
    assert [key for key in told if key not in ("collapsed", "written to")] == facts
    assert (told["extractor"], told["reference_splits"], told["device"]) == ("lenet", "train, test", "cpu")


OTHERS = [
    ("data=digits metrics=lenet metrics.reference=200", "reference", 200),
    ("data=grid metrics=modes", "modes", 25),
]


@pytest.mark.parametrize(("words", "key", "count"), OTHERS)
def test_data_and_metrics_can_be_named_anew(scored, evaluate, words, key, count):
    found = evaluate("points" if key == "modes" else "scored", *words.split(), "samples=50", "copies=0")["protocol"]
    assert (found["samples"], found[key]) == (50, count)


def test_copies_are_not_looked_for_among_pictures_of_another_size(scored, evaluate):
    found = evaluate("scored", "data=digits", "data.size=32", "metrics=lenet", "metrics.reference=99", "samples=50")
    assert "val/fd_lenet" in found["scores"]
    assert "val/near_copies" not in found["scores"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "tiny"),
        (["seed=1", "samples=30", "metrics.batch_size=7"], "tiny"),
        (["data=digits"], "tiny"),
        (["samples=20"], "tiny, changed: samples"),
        (["splits=[train]", "metrics.reference=100"], "tiny, changed: splits, metrics.reference"),
    ],
)
def test_a_protocol_is_claimed_unless_the_command_line_changes_what_it_fixes(scored, evaluate, words, name):
    found = evaluate("scored", "--config-dir", "own", "protocol=tiny", "copies=0", *words)["protocol"]
    assert found["protocol"] == name
    if name == "tiny":
        assert (found["samples"], found["reference"], found["reference_splits"]) == (30, 1000, ["test"])


@pytest.mark.slow
def test_lenet10k_is_ten_thousand_samples_against_all_shipped_digits(scored, evaluate):
    found = evaluate("scored", "protocol=lenet10k", "copies=0")
    told = {key: found["protocol"][key] for key in ("protocol", "samples", "reference")}
    assert told == {"protocol": "lenet10k", "samples": 10_000, "reference": 10_000}
    assert {"val/kid_lenet", "val/recall_lenet", "val/fd_infinity_lenet"} <= found["scores"].keys()


PROTOCOLS = {  # samples, splits, real pictures, resize
    "fid50k": (50_000, ["train"], None, "tf1"),
    "fid10k": (10_000, ["train"], 10_000, "tf1"),
    "clean50k": (50_000, ["train"], None, "clean"),
    "pytorch50k": (50_000, ["train"], None, "torch"),
    "lenet10k": (10_000, ["train", "test"], None, None),
}


@pytest.mark.parametrize("name", [path.stem for path in (conf_dir() / "protocol").glob("*.yaml")])
@pytest.mark.parametrize("data", [[], ["data=digits"], ["data=cifar10"]])
def test_a_protocol_is_what_its_source_says_whatever_the_data(name, data):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("eval", [f"protocol={name}", *data])
    found = cfg.samples, cfg.splits, cfg.metrics.reference, cfg.metrics.extractor.get("resize")
    assert found == PROTOCOLS[name]


@pytest.mark.slow
def test_a_protocol_is_not_claimed_for_fewer_pictures_or_other_weights(digits, tmp_path, evaluate):
    weights = write_random_inception(tmp_path / "inception.pth")
    folders = ["--folder", digits["small"], "--against", digits["small"]]
    found = evaluate(*folders, "protocol=fid10k", "samples=4", f"metrics.weights={weights}")
    assert found["protocol"]["protocol"] == "fid10k, changed: samples, metrics.reference, metrics.weights"
    assert found["protocol"]["resize"].startswith("tf1: ")
    assert {"val/fid", "val/is"} <= found["scores"].keys()


def write(folder, images, names):
    folder.mkdir()
    for image, name in zip(images, names, strict=True):
        Image.fromarray(image).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Folders of pictures of digits, by name."""
    x, place = load_shipped_digits()["x_train"], tmp_path_factory.mktemp("digits")
    names = [f"{i:03}.png" for i in range(300)]
    folders = {"first": write(place / "first", x[:300], names), "second": write(place / "second", x[300:600], names)}
    folders["small"] = write(place / "small", x[:4], names[:4])
    folders["coloured"] = write(place / "coloured", np.repeat(x[:300, :, :, None], 3, axis=3), names)
    return folders


def features(images):
    """Of digits uint8 [N, 28, 28], float64 [N, d]."""
    return LeNetExtractor()(torch.from_numpy(images)[:, None])[0].double()


def frechet(a, b):
    """By the eigenvalues of the product of the covariances."""
    root = torch.linalg.eigvals(torch.cov(a.T) @ torch.cov(b.T))
    trace = torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * root.sqrt().real.sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + trace).item()


def test_two_folders_have_the_distance_of_their_arrays(digits, evaluate):
    found = evaluate("--folder", digits["first"], "--against", digits["second"], "metrics=lenet")
    x = load_shipped_digits()["x_train"]
    assert found["scores"]["val/fd_lenet"] == pytest.approx(frechet(features(x[:300]), features(x[300:600])), rel=1e-5)
    assert (found["pictures"], found["against"]) == (str(digits["first"]), str(digits["second"]))
    assert (found["protocol"]["samples"], found["protocol"]["reference"]) == (300, 300)


def test_a_folder_against_itself_is_perfect(digits, evaluate):
    found = evaluate("--folder", digits["first"], "--against", digits["first"], "metrics=lenet")["scores"]
    assert abs(found["val/fd_lenet"]) < 1e-4
    assert [found[f"val/{name}_lenet"] for name in ("precision", "recall", "coverage")] == [1, 1, 1]


def test_grey_pictures_score_as_the_same_in_colour(digits, evaluate):
    found = [
        evaluate("--folder", digits[name], "--against", digits["second"], "metrics=lenet")["scores"]["val/fd_lenet"]
        for name in ("first", "coloured")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_samples_are_drawn_from_a_folder_by_the_seed(digits, evaluate):
    words = ["--folder", digits["first"], "--against", digits["second"], "metrics=lenet", "samples=100"]
    first, again, other = (evaluate(*words, f"seed={seed}") for seed in (1, 1, 2))
    assert json.dumps(first) == json.dumps(again)
    assert first["scores"]["val/fd_lenet"] != other["scores"]["val/fd_lenet"]


def test_samples_written_as_pictures_score_as_the_samples(place, scored, evaluate):
    assert main(["sample", "scored", "n=40", "batch_size=500", "as=folder", "out=drawn"]) == 0
    assert main(["sample", "scored", "n=40", "batch_size=500", "as=npz", "out=array"]) == 0
    with np.load("array/samples.npz") as arrays:
        x = arrays["x"][..., 0]
    real = Path("real")
    write(real, load_shipped_digits()["x_test"][:200], [f"{i}.png" for i in range(200)])
    found = evaluate("--folder", "drawn", "--against", real, "metrics=lenet")
    expected = frechet(features(x), features(load_shipped_digits()["x_test"][:200]))
    assert found["scores"]["val/fd_lenet"] == pytest.approx(expected, rel=1e-4)


def test_any_place_survives_as_a_folder(digits, evaluate, tmp_path):
    strange = tmp_path / "${x} it's, a=b"
    strange.symlink_to(digits["small"])
    found = evaluate("--folder", strange, f"--against={digits['second']}", "metrics=lenet", "samples=3")
    assert (found["pictures"], found["protocol"]["samples"]) == (str(strange), 3)


def test_nothing_but_scores_is_written_of_two_folders(digits, evaluate):
    before = files(Path())
    evaluate("--folder", digits["small"], "--against", digits["small"], "metrics=lenet")
    (new,) = files(Path()) - before
    assert new.endswith("scores.json")
