"""The real `ganrun train`: what its run folder holds, what it says, and the plan that it shows."""

import contextlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.runs import RING, SCORED, files, lines, load_checkpoint, rows, status
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ganrun.cli.main import main
from ganrun.metrics.scores.declarations import better_direction
from ganrun.training import inference

CGAN = ["model=cgan", "data=digits", "network.width=4", "batch_size=4", "init.std=0.3", "kimg=0.032"]
FULL = [*CGAN, *SCORED, "seed=3", "log_every=2", "pictures_kimg=0.016"]
PICTURE = "samples/samples-kimg000000.032.png"


@pytest.fixture(scope="module")
def full(tmp_path_factory, shared_cache):
    """The folder of a finished training with all that there is; and what it said."""
    folder, out = tmp_path_factory.mktemp("full"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("GANRUN_CACHE", str(shared_cache))
        patch.setattr(sys, "path", [*sys.path])
        patch.chdir(folder)
        assert main(["train", *FULL, "folder=run"]) == 0
    return folder / "run", out.getvalue()


def test_the_config_is_written_as_it_was_resolved(full):
    run, _ = full
    text = (run / "config.yaml").read_text()
    cfg = OmegaConf.create(text)
    for word in set(FULL) - {"model=cgan", "data=digits"}:
        key, value = word.split("=")
        assert str(OmegaConf.select(cfg, key)) == value
    assert "$" not in text
    assert (cfg.network.generator.net.shape, cfg.network.generator.net.width) == ([1, 28, 28], 4)
    assert cfg == load_checkpoint(run)["ganrun"]["config"]


def test_the_status_tells_how_it_ended_and_with_what(full):
    run, _ = full
    found, scores = status(run), lines(run, "protocol")
    facts = (found["state"], found["kimg"], found["host"], found["commit"], found["pid"])
    assert facts == ("done", 0.032, platform.node(), None, os.getpid())
    assert (found["versions"]["torch"], found["versions"]["python"]) == (torch.__version__, platform.python_version())
    assert found["last"].items() <= scores[-1].items()
    assert found["best"].items() <= min(scores, key=lambda line: line["val/fd_lenet"]).items()


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_the_status_names_the_commit_of_the_working_folder(cli, train):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "init", "-q"], check=True, cwd=cli.folder)
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True, cwd=cli.folder)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=cli.folder).stdout.strip()
    assert len(head) == 40
    assert status(train(*RING, "kimg=0.004"))["commit"] == head


def test_losses_and_scores_stand_on_the_axis_of_images(full):
    run, _ = full
    losses, scores = lines(run, "train/generator/loss"), lines(run, "protocol")
    assert sorted({line["kimg"] for line in losses}) == [0.008, 0.016, 0.024, 0.032]
    assert [line["kimg"] for line in scores] == [0.016, 0.032]
    expected = {"extractor": "lenet", "samples": 20, "reference": 200, "averaged_weights": False}
    assert all(expected.items() <= line["protocol"].items() for line in scores)


def test_no_point_of_the_curves_stands_twice(full):
    places = [line["kimg"] for line in lines(full[0], "train/generator/loss")]
    assert len(places) == len(set(places))


def test_the_picture_is_what_the_last_checkpoint_draws(full):
    run, _ = full
    pixels = np.asarray(Image.open(run / PICTURE))
    assert pixels.shape == (10 * 30 + 2, 10 * 30 + 2, 3)  # a row for each class, 2 pixels between
    last = inference.load_trained_model(OmegaConf.create({"run": str(run), "which": "last", "device": "cpu"}))
    ((examples, columns),) = last.model.pictures(last.data).values()
    assert np.array_equal(pixels, last.data.draw(examples, columns).permute(1, 2, 0).numpy())


def test_there_is_a_picture_for_each_mark(full):
    assert len(list((full[0] / "samples").iterdir())) == 2


def test_the_manifest_names_the_checkpoints_and_there_are_no_others(full):
    run, _ = full
    best = f"kimg{status(run)['best']['kimg']:010.3f}.ckpt"
    named = json.loads((run / "checkpoints" / "manifest.json").read_text())
    assert (named["last"], named["best"]) == ("kimg000000.032.ckpt", best)
    assert files(run / "checkpoints") == {named["last"], named["previous"], named["best"], "manifest.json"}
    assert load_checkpoint(run)["seen"] == {"batches": 8, "images": 32, "progress": 1.0}


def test_the_manifest_tells_the_score_that_names_the_best_and_its_values(full):
    run, _ = full
    told = json.loads((run / "checkpoints" / "manifest.json").read_text())
    assert (told["monitor"], told["mode"]) == ("val/fd_lenet", "min")
    for which in ("last", "best"):
        scores = status(run)[which]
        assert told["scores"][which] == {"kimg": scores["kimg"], "value": scores["val/fd_lenet"]}


def test_the_curves_end_with_last_best_and_the_diagnosis(full):
    run, told = full
    *_, closing = (json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines())
    found = status(run)
    told_twice = {key: found[key] for key in ("last", "best", "diagnosis")}
    assert closing == {"kimg": 0.032, "time": closing["time"], **told_twice}
    assert found["diagnosis"]["summary"].startswith(found["diagnosis"]["state"])
    assert found["diagnosis"]["summary"] in told


def test_without_scores_there_is_no_diagnosis(train):
    run = train(*RING)
    assert "diagnosis" not in status(run)
    assert lines(run, "last") == []


def test_the_log_has_a_line_for_each_score(full):
    run, _ = full
    said = [text for text in (run / "train.log").read_text().splitlines() if "kimg" in text]
    assert len(said) == 2
    for text, line in zip(said, lines(run, "protocol"), strict=True):
        assert f"val/fd_lenet {line['val/fd_lenet']:.4g}" in text


def test_the_summary_names_scores_places_and_how_to_go_on(full):
    run, told = full
    last, best = status(run)["last"], status(run)["best"]
    found = {name.removesuffix(" *"): values for name, *values in rows(told)}
    assert found.pop("score") == ["last", "best", "better"]
    values = {name: [f"{last[name]:.4g}", f"{best[name]:.4g}" if name in best else ""] for name in last}
    assert found == {name: [*values[name], better_direction(name)] for name in last}
    said = ["val/fd_lenet *", "run folder    run", PICTURE, "tensorboard --logdir run", "ganrun sample run"]
    assert [text for text in said if text not in told] == []


@pytest.fixture(scope="module")
def events(full):
    return EventAccumulator(str(full[0]), {"tensors": 0, "images": 0, "scalars": 0}).Reload()


def test_tensorboard_has_losses_and_scores_by_images_seen(full, events):
    for line in [*lines(full[0], "train/generator/loss"), *lines(full[0], "protocol")]:
        for name in line.keys() - {"kimg", "time", "protocol"}:
            values = [e.value for e in events.Scalars(name) if e.step == round(1000 * line["kimg"])]
            assert values == pytest.approx(len(values) * [line[name]])
            assert values
    assert {e.step for e in events.Scalars("images_per_second")} == {8, 16, 24, 32}


def test_tensorboard_has_the_grids(full, events):
    first, last = events.Images("samples")
    assert (first.step, last.step) == (16, 32)
    shown = np.asarray(Image.open(io.BytesIO(last.encoded_image_string)))
    assert np.array_equal(shown, np.asarray(Image.open(full[0] / PICTURE)))


def test_tensorboard_compares_hyperparameters_by_the_final_scores(full, events):
    tags = {f"_hparams_/{kind}" for kind in ("session_start_info", "session_end_info")}
    plugin = {tag: HParamsPluginData.FromString(events.summary_metadata[tag].plugin_data.content) for tag in tags}
    last, best = (status(full[0])[which] for which in ("last", "best"))
    assert "_hparams_/experiment" not in events.summary_metadata  # it would name the columns for other runs as well
    for name in last.keys() - {"kimg"}:
        assert events.Scalars(name)[-1].value == pytest.approx(last[name])
    for name in best.keys() - {"kimg"}:
        (event,) = events.Scalars(name.replace("val/", "best/"))
        assert (event.step, event.value) == (32, pytest.approx(best[name]))
    assert plugin["_hparams_/session_end_info"].session_end_info.status == STATUS_SUCCESS
    settings = plugin["_hparams_/session_start_info"].session_start_info.hparams
    assert settings["model"].string_value == "cgan"
    assert (settings["seed"].number_value, settings["optimizer.lr"].number_value) == (3, 4e-4)


def test_a_csv_logger_writes_its_file_and_none_writes_none(train):
    plain = files(train(*RING, "log_every=4", folder="plain"))
    run = train(*RING, "log_every=4", "logger=csv", folder="table")
    assert files(run) - plain == {"metrics.csv", "hparams.yaml"}
    assert not any("events" in name for name in plain)
    head, *rows = (row.split(",") for row in (run / "metrics.csv").read_text().splitlines())
    step, loss = head.index("step"), head.index("train/generator/loss")
    losses = {line["kimg"]: line["train/generator/loss"] for line in lines(run, "train/generator/loss")}
    assert {int(row[step]) / 1000: float(row[loss]) for row in rows} == losses


@pytest.mark.parametrize("columns", [80, 200])
def test_a_dry_run_tells_what_would_be_trained_and_writes_nothing(cli, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ["model=wgan", "data=ring", "batch_size=8", "kimg=0.104", "optimizers.generator.lr=1e-3"]
    folder = f"{'far/' * 20}run"
    assert cli.run("train", *words, "dry_run=true", f"folder={folder}") == 0
    assert list(cli.folder.iterdir()) == []
    generator, critic = 101 * 400 + 401 * 400 + 401 * 2, 3 * 5 * 200 + 201  # 5 pieces of maxout
    expected = [
        ["data", "ring: 2, batch keys x, y, point"],
        ["batches", "13 batches of 8 examples"],
        ["length", "0.104 kimg"],
        ["memory", f"{16 * (generator + critic) / 2**20:.0f} MiB for weights, gradients and optimizers"],
        ["generator", "Generator", f"{generator:,}"],
        ["discriminator", "Discriminator", f"{critic:,}"],
        ["discriminator", "discriminator", "discriminator_loss", "batch", "RMSprop 5e-05"],
        ["generator", "generator", "generator_loss", "5 batches", "RMSprop 0.001"],
    ]
    out = capsys.readouterr().out
    assert [row for row in expected if row not in rows(out)] == []
    assert f"run folder   {folder}\n" in out


def test_a_dry_run_counts_the_batches_of_the_training(cli, capsys):
    assert cli.run("train", *RING, "kimg=0.01", "dry_run=true") == 0
    assert ["batches", "3 batches of 4 examples"] in rows(capsys.readouterr().out)
