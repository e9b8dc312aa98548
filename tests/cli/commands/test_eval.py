"""ganrun eval: its table and scores.json, reproducible scores, named protocols, and image folders without a run."""

import json
import math
import re
from importlib.metadata import version
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
from ganrun.files import conf_dir
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.scores.declarations import better_direction

CGAN = ["model=cgan", "data=digits", "network.width=4", "batch_size=4", "init.std=0.3", "logger=none", "kimg=0.032"]
OFTEN = ["validate_kimg=0.008", "metrics.samples=20", "metrics.reference=200"]
ALL = ["metrics.scores=[fd,is,kid,prdc,intra,diversity,fd_infinity]"]  # some only at the end of training
TINY = "# @package _global_\n# Tiny\ndefaults:\n  - _self_\n  - override /metrics: lenet\nsamples: 30\nsplits: [test]\n"


@pytest.fixture(scope="module")
def work(workplace):
    """The working folder, with a run of cgan (with EMA) and one of gan on points."""
    assert main(["train", *RING, "folder=points"]) == 0
    assert main(["train", *CGAN, *OFTEN, *ALL, "ema.half_life_kimg=0.02", "folder=scored"]) == 0
    own = workplace / "own" / "protocol"
    own.mkdir(parents=True)
    (own / "tiny.yaml").write_text(TINY)
    return workplace


@pytest.fixture(scope="module")
def scored(work):
    return work / "scored"


@pytest.fixture
def evaluate(work):
    """Runs `ganrun eval` and returns the content of scores.json."""

    def evaluate(*args):
        before = {*Path("outputs").glob("eval/*")}
        assert main(["eval", *map(str, args)]) == 0
        (new,) = {*Path("outputs").glob("eval/*")} - before
        return json.loads((new / "scores.json").read_text())

    return evaluate


@pytest.mark.parametrize("which", ["last", "best"])
def test_eval_gives_the_scores_of_the_training(scored, evaluate, which):
    line = next(line for line in lines(scored, "protocol") if line["kimg"] == status(scored)[which]["kimg"])
    result = evaluate("scored", f"which={which}", "copies=20")
    assert (result["kimg"], Path(result["checkpoint"]).parts[:2]) == (line["kimg"], ("scored", "checkpoints"))
    scores = {name: value for name, value in line.items() if name.startswith("val/")}
    assert {name: result["scores"][name] for name in scores} == scores
    assert {"val/near_copies", "val/near_copies_lenet"} <= result["scores"].keys()
    shared = line["protocol"].keys() & result["protocol"].keys()
    assert {key: result["protocol"][key] for key in shared} == {key: line["protocol"][key] for key in shared}
    assert {"extractor", "weights", "samples", "reference", "averaged_weights"} <= shared
    assert (result["protocol"]["seed"], result["versions"]["torch"]) == (0, version("torch"))


def test_best_and_last_differ_in_this_run(scored):
    assert status(scored)["best"]["kimg"] < status(scored)["last"]["kimg"]


@pytest.mark.slow
def test_two_evaluations_of_a_checkpoint_give_identical_scores(scored, evaluate):
    args = ["metrics=lenet", "metrics.reference=150", "samples=20", "copies=20"]
    measured, cached = evaluate("scored", *args), evaluate("scored", *args)
    assert all(math.isfinite(value) for value in measured["scores"].values())
    assert json.dumps(cached) == json.dumps(measured)


def test_a_run_folder_and_its_checkpoint_file_score_alike(scored, evaluate):
    whole, file = evaluate("scored", "copies=0"), evaluate("scored/checkpoints/kimg000000.032.ckpt", "copies=0")
    assert json.dumps(file) == json.dumps(whole)


def test_more_samples_or_another_seed_or_split_score_differently(scored, evaluate):
    changes = ([], ["samples=30"], ["seed=1"], ["splits=[test]"])
    results = [evaluate("scored", "copies=0", *change) for change in changes]
    protocols = [result["protocol"] for result in results]
    assert (protocols[1]["samples"], protocols[2]["seed"], protocols[3]["reference_splits"]) == (30, 1, ["test"])
    assert len({result["scores"]["val/fd_lenet"] for result in results}) == 4


def test_scoring_during_training_does_not_change_the_weights(work, scored):
    args = [*CGAN, "ema.half_life_kimg=0.02", "validate_kimg=0.008", "metrics=none", "folder=unscored"]
    assert main(["train", *args]) == 0
    assert [line["kimg"] for line in lines(scored, "protocol")] == [0.008, 0.016, 0.024, 0.032]
    first, other = load_checkpoint(scored), load_checkpoint(work / "unscored")
    assert first["state_dict"].keys() == other["state_dict"].keys()
    assert all(torch.equal(value, other["state_dict"][name]) for name, value in first["state_dict"].items())
    assert str(first["optimizer_states"]) == str(other["optimizer_states"])


def test_one_table_shows_each_score_with_its_direction_floor_count_and_protocol(scored, evaluate, capsys):
    result = evaluate("scored", "copies=50")
    out = capsys.readouterr().out
    head, *body = rows(out)
    assert head == ["score", "value", "better", "real", "N", "how"]
    names = [row[0] for row in body if row[0]]
    assert names == [*result["scores"]]
    for name, value, direction, real, count, how in (row for row in body if row[0]):
        basis, floor = result["basis"][name], result["floors"].get(name)
        assert (value, direction) == (f"{result['scores'][name]:.4g}", better_direction(name))
        assert (real, count) == ("" if floor is None else f"{floor:.4g}", f"{basis['samples']:,}")
        assert how
        assert basis["how"].startswith(how)
    assert out.count("┏") == 1


def test_facts_about_all_scores_are_printed_once_below_the_table(scored, evaluate, capsys):
    evaluate("scored", "copies=0")
    below = capsys.readouterr().out.partition("└")[2].splitlines()[1:]
    printed = dict(re.split(r"  +", line, maxsplit=1) for line in below)
    facts = ["extractor", "weights", "resize", "reference_splits", "averaged_weights", "seed", "device"]
    assert printed.pop("as in training") == "yes: the scores compare with those of the training"
    assert [key for key in printed if key not in ("collapsed", "written to")] == facts
    assert (printed["extractor"], printed["reference_splits"], printed["device"]) == ("lenet", "train, test", "cpu")


OTHERS = [
    ("data=digits metrics=lenet metrics.reference=200", "reference", 200),
    ("data=grid metrics=modes", "modes", 25),
]


@pytest.mark.parametrize(("args", "key", "count"), OTHERS)
def test_data_and_metrics_can_be_replaced(scored, evaluate, args, key, count):
    result = evaluate("points" if key == "modes" else "scored", *args.split(), "samples=50", "copies=0")["protocol"]
    assert (result["samples"], result[key]) == (50, count)


def test_copies_are_not_searched_among_images_of_another_size(scored, evaluate):
    result = evaluate("scored", "data=digits", "data.size=32", "metrics=lenet", "metrics.reference=99", "samples=50")
    assert "val/fd_lenet" in result["scores"]
    assert "val/near_copies" not in result["scores"]


@pytest.mark.parametrize(
    ("args", "name"),
    [
        ([], "tiny"),
        (["seed=1", "samples=30", "metrics.batch_size=7"], "tiny"),
        (["data=digits"], "tiny"),
        (["samples=20"], "tiny, changed: samples"),
        (["splits=[train]", "metrics.reference=100"], "tiny, changed: splits, metrics.reference"),
    ],
)
def test_the_protocol_name_lists_the_settings_that_the_command_changed(scored, evaluate, args, name):
    result = evaluate("scored", "--config-dir", "own", "protocol=tiny", "copies=0", *args)["protocol"]
    assert result["protocol"] == name
    if name == "tiny":
        assert (result["samples"], result["reference"], result["reference_splits"]) == (30, 1000, ["test"])


@pytest.mark.slow
def test_lenet10k_compares_10000_samples_with_all_shipped_digits(scored, evaluate):
    result = evaluate("scored", "protocol=lenet10k", "copies=0")
    facts = {key: result["protocol"][key] for key in ("protocol", "samples", "reference")}
    assert facts == {"protocol": "lenet10k", "samples": 10_000, "reference": 10_000}
    assert {"val/kid_lenet", "val/recall_lenet", "val/fd_infinity_lenet"} <= result["scores"].keys()


PROTOCOLS = {  # samples, splits, real pictures, resize
    "fid50k": (50_000, ["train"], None, "tf1"),
    "fidelity50k": (50_000, ["train"], None, "tf1"),
    "fid10k": (10_000, ["train"], 10_000, "tf1"),
    "clean50k": (50_000, ["train"], None, "clean"),
    "pytorch50k": (50_000, ["train"], None, "torch"),
    "lenet10k": (10_000, ["train", "test"], None, None),
}


@pytest.mark.parametrize("name", [path.stem for path in (conf_dir() / "protocol").glob("*.yaml")])
@pytest.mark.parametrize("data", [[], ["data=digits"], ["data=cifar10"]])
def test_protocol_settings_do_not_depend_on_the_data(name, data):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("eval", [f"protocol={name}", *data])
    result = cfg.samples, cfg.splits, cfg.metrics.reference, cfg.metrics.extractor.get("resize")
    assert result == PROTOCOLS[name]


@pytest.mark.slow
def test_the_protocol_name_tells_of_fewer_images_and_other_weights(digits, tmp_path, evaluate):
    weights = write_random_inception(tmp_path / "inception.pth")
    folders = ["--folder", digits["small"], "--against", digits["small"]]
    result = evaluate(*folders, "protocol=fid10k", "samples=4", f"metrics.weights={weights}")
    assert result["protocol"]["protocol"] == "fid10k, changed: samples, metrics.reference, metrics.weights"
    assert result["protocol"]["resize"].startswith("tf1: ")
    assert {"val/fid", "val/is"} <= result["scores"].keys()


def write_images(folder, images, names):
    folder.mkdir()
    for image, name in zip(images, names, strict=True):
        Image.fromarray(image).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """{name: folder with images of digits}."""
    x, root = load_shipped_digits()["x_train"], tmp_path_factory.mktemp("digits")
    names = [f"{i:03}.png" for i in range(300)]
    folders = {
        "first": write_images(root / "first", x[:300], names),
        "second": write_images(root / "second", x[300:600], names),
    }
    folders["small"] = write_images(root / "small", x[:4], names[:4])
    folders["coloured"] = write_images(root / "coloured", np.repeat(x[:300, :, :, None], 3, axis=3), names)
    return folders


def features(images):
    """LeNet features of digits: uint8 [N, 28, 28] -> float64 [N, d]."""
    return LeNetExtractor()(torch.from_numpy(images)[:, None])[0].double()


def frechet(a, b):
    """Frechet distance from the eigenvalues of the product of the covariances."""
    root = torch.linalg.eigvals(torch.cov(a.T) @ torch.cov(b.T))
    trace = torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * root.sqrt().real.sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + trace).item()


def test_two_folders_have_the_frechet_distance_of_their_images(digits, evaluate):
    result = evaluate("--folder", digits["first"], "--against", digits["second"], "metrics=lenet")
    x = load_shipped_digits()["x_train"]
    assert result["scores"]["val/fd_lenet"] == pytest.approx(frechet(features(x[:300]), features(x[300:600])), rel=1e-5)
    assert (result["pictures"], result["against"]) == (str(digits["first"]), str(digits["second"]))
    assert (result["protocol"]["samples"], result["protocol"]["reference"]) == (300, 300)


def test_a_folder_compared_with_itself_scores_perfectly(digits, evaluate):
    result = evaluate("--folder", digits["first"], "--against", digits["first"], "metrics=lenet")["scores"]
    assert result["val/fd_lenet"] == 0
    assert [result[f"val/{name}_lenet"] for name in ("precision", "recall", "coverage")] == [1, 1, 1]


def test_grey_images_score_like_the_same_images_in_rgb(digits, evaluate):
    result = [
        evaluate("--folder", digits[name], "--against", digits["second"], "metrics=lenet")["scores"]["val/fd_lenet"]
        for name in ("first", "coloured")
    ]
    assert result[0] == pytest.approx(result[1], rel=1e-6)


def test_the_seed_selects_the_images_of_a_folder(digits, evaluate):
    args = ["--folder", digits["first"], "--against", digits["second"], "metrics=lenet", "samples=100"]
    first, again, other = (evaluate(*args, f"seed={seed}") for seed in (1, 1, 2))
    assert json.dumps(first) == json.dumps(again)
    assert first["scores"]["val/fd_lenet"] != other["scores"]["val/fd_lenet"]


def test_samples_score_the_same_after_being_written_to_files(work, scored, evaluate):
    assert main(["sample", "scored", "n=40", "batch_size=500", "as=folder", "out=samples"]) == 0
    assert main(["sample", "scored", "n=40", "batch_size=500", "as=npz", "out=array"]) == 0
    with np.load("array/samples.npz") as arrays:
        x = arrays["x"][..., 0]
    real = Path("real")
    write_images(real, load_shipped_digits()["x_test"][:200], [f"{i}.png" for i in range(200)])
    result = evaluate("--folder", "samples", "--against", real, "metrics=lenet")
    expected = frechet(features(x), features(load_shipped_digits()["x_test"][:200]))
    assert result["scores"]["val/fd_lenet"] == pytest.approx(expected, rel=1e-4)


def test_a_folder_name_may_contain_special_characters(digits, evaluate, tmp_path):
    special = tmp_path / "${x} it's, a=b"
    special.symlink_to(digits["small"])
    result = evaluate("--folder", special, f"--against={digits['second']}", "metrics=lenet", "samples=3")
    assert (result["pictures"], result["protocol"]["samples"]) == (str(special), 3)


def test_an_eval_of_two_folders_writes_only_scores_json(digits, evaluate):
    before = files(Path())
    evaluate("--folder", digits["small"], "--against", digits["small"], "metrics=lenet")
    (new,) = files(Path()) - before
    assert new.endswith("scores.json")


def test_a_folder_of_samples_scores_against_data_under_the_protocol_of_a_run(digits, evaluate, tmp_path):
    samples, settings = tmp_path / "samples", ["metrics.reference=200", "samples=40"]
    assert main(["sample", "scored", "n=40", "as=folder", f"out={samples}"]) == 0
    of_folder = evaluate("--folder", samples, "data=digits", *settings)
    of_run = evaluate("scored", "data=digits", "metrics=lenet", "copies=0", *settings)
    assert of_folder["protocol"] == {k: v for k, v in of_run["protocol"].items() if k != "averaged_weights"}
    assert of_folder["data"] == of_run["data"] == "digits"
    assert of_folder["floors"] == of_run["floors"]
    assert {"reference_splits", "samples"} <= of_folder["protocol"].keys()
    real = evaluate("--folder", digits["first"], "data=digits", "splits=[test]")
    assert real["protocol"]["reference_splits"] == ["test"]
    assert real["scores"]["val/fd_lenet"] < of_folder["scores"]["val/fd_lenet"] / 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["data=ring"], "metrics=modes cannot compare folders"),
        (["data=digits", "copies=10"], "copies= has no effect on a folder of images"),
        (["data=unpaired_digits", "protocol=fid50k"], "scores generated images, but data=unpaired_digits has"),
    ],
)
def test_a_folder_of_samples_is_refused_where_it_cannot_be_scored(digits, evaluate, args, message, capsys):
    assert main(["eval", "--folder", str(digits["small"]), *args]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_images_in_the_place_of_a_run_is_pointed_to_the_right_command(digits, capsys):
    assert main(["eval", str(digits["small"]), "data=digits"]) == 2
    message = capsys.readouterr().err
    assert "is a folder of images, not a run" in message
    assert f"ganrun eval --folder {digits['small']} data=NAME" in message
