"""ganrun train: the content of the run folder, the output, TensorBoard, and the plan of a dry run."""

import contextlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from itertools import groupby
from textwrap import dedent

import numpy as np
import pytest
from helpers.runs import RING, SCORED, files, lines, load_checkpoint, rows, status
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ganrun.cli.main import main
from ganrun.config.build import build_data
from ganrun.metrics.scores.declarations import better_direction
from ganrun.training import inference
from ganrun.training.callbacks.hparams import CHARTS
from ganrun.training.runs.removal import foreign_entries

CGAN = ["model=cgan", "data=digits", "network.width=4", "batch_size=4", "init.std=0.3", "kimg=0.032"]
FULL = [*CGAN, *SCORED, "seed=3", "log_every=2", "pictures_kimg=0.016"]
PICTURE = "samples/samples-kimg000000.032.png"


@pytest.fixture(scope="module")
def full(tmp_path_factory, shared_cache):
    """The run folder of a finished run with scores and TensorBoard, and its output."""
    folder, out = tmp_path_factory.mktemp("full"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("GANRUN_CACHE", str(shared_cache))
        patch.setenv("COLUMNS", "120")  # scores of six figures would break a row of 80
        patch.setattr(sys, "path", [*sys.path])
        patch.chdir(folder)
        assert main(["train", *FULL, "folder=run"]) == 0
    return folder / "run", out.getvalue()


def test_config_yaml_holds_the_resolved_config(full):
    run, _ = full
    cfg = OmegaConf.load(run / "config.yaml")
    for arg in set(FULL) - {"model=cgan", "data=digits"}:
        key, value = arg.split("=")
        assert str(OmegaConf.select(cfg, key)) == value
    assert "$" not in str(OmegaConf.masked_copy(cfg, sorted(cfg.keys() - {"callbacks"})))
    assert (cfg.network.generator.net.shape, cfg.network.generator.net.width) == ([1, 28, 28], 4)
    assert OmegaConf.to_container(cfg, resolve=True) == load_checkpoint(run)["ganrun"]["config"]


def test_status_json_holds_state_scores_and_versions(full):
    run, _ = full
    content, scores = status(run), lines(run, "protocol")
    facts = (content["state"], content["kimg"], content["host"], content["commit"], content["pid"])
    assert facts == ("done", 0.032, platform.node(), None, os.getpid())
    versions = content["versions"]
    assert (versions["torch"], versions["python"]) == (version("torch"), platform.python_version())
    assert content["last"].items() <= scores[-1].items()
    assert content["best"].items() <= min(scores, key=lambda line: line["val/fd_lenet"]).items()


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_the_status_names_the_commit_of_the_working_folder(cli, train):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "init", "-q"], check=True, cwd=cli.folder)
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True, cwd=cli.folder)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=cli.folder).stdout.strip()
    assert len(head) == 40
    assert status(train(*RING, "kimg=0.004"))["commit"] == head


def test_losses_and_scores_are_logged_by_kimg(full):
    run, _ = full
    losses, scores = lines(run, "train/generator/loss"), lines(run, "protocol")
    assert sorted({line["kimg"] for line in losses}) == [0.008, 0.016, 0.024, 0.032]
    assert [line["kimg"] for line in scores] == [0.016, 0.032]
    expected = {"extractor": "lenet", "samples": 20, "reference": 200, "averaged_weights": False}
    assert all(expected.items() <= line["protocol"].items() for line in scores)


def test_no_point_of_the_curves_is_written_twice(full):
    points = [line["kimg"] for line in lines(full[0], "train/generator/loss")]
    assert len(points) == len(set(points))


def test_the_last_sample_grid_shows_the_last_checkpoint(full):
    run, _ = full
    pixels = np.asarray(Image.open(run / PICTURE))
    assert pixels.shape == (10 * 30 + 2, 10 * 30 + 2, 3)  # a row per class, 2 pixels of padding
    last = inference.load_trained_model(OmegaConf.create({"run": str(run), "which": "last", "device": "cpu"}))
    ((examples, columns),) = last.model.pictures(last.data).values()
    assert np.array_equal(pixels, last.data.draw(examples, columns).permute(1, 2, 0).numpy())


def test_a_sample_grid_is_written_every_pictures_kimg(full):
    names = {path.name for path in (full[0] / "samples").iterdir()}
    assert names == {"real.png", *(f"samples-kimg000000.{images:03d}.png" for images in (0, 16, 32))}


def test_pictures_start_with_real_examples_and_samples_before_the_training(full):
    real, untrained = (Image.open(full[0] / "samples" / name) for name in ("real.png", "samples-kimg000000.000.png"))
    digits = build_data(OmegaConf.load(full[0] / "config.yaml"))
    digits.prepare_data()
    digits.setup()
    assert np.array_equal(np.asarray(real), digits.draw(digits.test("x", 64)).permute(1, 2, 0).numpy())
    assert np.asarray(untrained).std() > 0
    assert np.array_equal(np.asarray(Image.open(full[0] / "samples.png").resize((302, 302), 0)), pixels_of(full[0]))


def pixels_of(run):
    return np.asarray(Image.open(run / PICTURE))


def test_the_manifest_names_all_checkpoints(full):
    run, _ = full
    best = f"kimg{status(run)['best']['kimg']:010.3f}.ckpt"
    manifest = json.loads((run / "checkpoints" / "manifest.json").read_text())
    assert (manifest["last"], manifest["best"]) == ("kimg000000.032.ckpt", best)
    assert files(run / "checkpoints") == {manifest["last"], manifest["previous"], manifest["best"], "manifest.json"}
    each = {"steps": {"discriminator": 8, "generator": 8}, "images_at_step": {"discriminator": 32, "generator": 32}}
    assert load_checkpoint(run)["seen"] == {"batches": 8, "images": 32, "progress": 1.0, **each}


def test_the_manifest_holds_the_monitored_score_of_last_and_best(full):
    run, _ = full
    manifest = json.loads((run / "checkpoints" / "manifest.json").read_text())
    assert (manifest["monitor"], manifest["mode"]) == ("val/fd_lenet", "min")
    for which in ("last", "best"):
        scores = status(run)[which]
        assert manifest["scores"][which] == {"kimg": scores["kimg"], "value": scores["val/fd_lenet"]}


def test_metrics_jsonl_ends_with_last_best_and_the_diagnosis(full):
    run, out = full
    *_, closing = (json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines())
    content = status(run)
    repeated = {key: content[key] for key in ("last", "best", "diagnosis")}
    assert closing == {"kimg": 0.032, "time": closing["time"], **repeated}
    assert content["diagnosis"]["summary"].startswith(content["diagnosis"]["state"])
    assert content["diagnosis"]["summary"] in out


def test_without_scores_the_diagnosis_is_of_the_discriminator(train, capsys):
    run = train(*RING)
    assert status(run)["diagnosis"]["summary"] == "unclear: 8 batches are too little training to say; 200 may be enough"
    assert "diagnosis     unclear: 8 batches" in capsys.readouterr().out
    assert lines(run, "last") == []


def test_train_log_has_a_line_for_each_scoring(full):
    run, _ = full
    logged = re.findall(r"  FD (\S+) \(best", (run / "train.log").read_text())
    scored = [f"{line['val/fd_lenet']:.4g}" for line in lines(run, "protocol")]
    assert len(scored) == 2
    assert [score for score, _ in groupby(logged)] == scored  # a slow machine repeats the last one every 20 seconds


def test_the_summary_prints_scores_paths_and_next_commands(full):
    run, out = full
    last, best = status(run)["last"], status(run)["best"]
    printed = {name.removesuffix(" *"): values for name, *values in rows(out)}
    assert printed.pop("score") == ["last", "best", "real data", "better"]
    assert printed.keys() == {name for name in last if "deviation" not in name and "error" not in name}
    for name, (at_end, at_best, real, better) in printed.items():
        kind = "_error_lenet" if name == "val/fd_lenet" else "_deviation_lenet"
        spread = name.replace("_lenet", kind) if "_lenet" in name else ""
        expected = [f"{last[name]:.4g}"] + ([f"{last[spread]:.2g}"] if spread in last else [])
        assert at_end == " ± ".join(expected)
        assert at_best.split(" ")[0] == (f"{best[name]:.4g}" if name in best else "")
        assert bool(real) == (name not in ("kimg", "val/accuracy_lenet"))
        assert better == better_direction(name)
    expected = [
        "val/fd_lenet *",
        "run folder    run",
        "run/samples.png",
        "run/path.png",
        "run/directions.png",
        "tensorboard --logdir run",
        "ganrun sample run",
    ]
    assert [text for text in expected if text not in out] == []


@pytest.fixture(scope="module")
def events(full):
    return EventAccumulator(str(full[0]), {"tensors": 0, "images": 0, "scalars": 0}).Reload()


def test_tensorboard_has_losses_and_scores_by_images_seen(full, events):
    for line in [*lines(full[0], "train/generator/loss"), *lines(full[0], "protocol")]:
        for name in line.keys() - {"kimg", "time", "protocol"}:
            values = [e.value for e in events.Scalars(name) if e.step == round(1000 * line["kimg"])]
            assert values == pytest.approx(len(values) * [line[name]])
            assert values
    assert {e.step for e in events.Scalars("train/images_per_second")} == {8, 16, 24, 32}


def test_tensorboard_has_the_sample_grids(full, events):
    *earlier, last = events.Images("pictures/samples")
    assert [event.step for event in (*earlier, last)] == [0, 16, 32]
    shown = np.asarray(Image.open(io.BytesIO(last.encoded_image_string)))
    assert np.array_equal(shown, np.asarray(Image.open(full[0] / PICTURE)))


def test_all_that_a_run_writes_is_known_as_its_own(full):
    """Else `ganrun runs rm` would leave it."""
    assert foreign_entries(full[0]) == []


@pytest.mark.parametrize("name", ["path", "directions"])
def test_tensorboard_has_what_lies_between_the_samples_at_the_end(full, events, name):
    (event,) = events.Images(f"pictures/{name}")
    assert event.step == 32
    with Image.open(io.BytesIO(event.encoded_image_string)) as shown, Image.open(full[0] / f"{name}.png") as larger:
        assert np.array_equal(np.asarray(shown), np.asarray(larger.resize(shown.size, 0)))


def test_tensorboard_hparams_hold_the_final_scores(full, events):
    tags = {f"_hparams_/{kind}" for kind in ("session_start_info", "session_end_info")}
    plugin = {tag: HParamsPluginData.FromString(events.summary_metadata[tag].plugin_data.content) for tag in tags}
    last, best = (status(full[0])[which] for which in ("last", "best"))
    assert "_hparams_/experiment" not in events.summary_metadata  # it would set the columns of other runs too
    for name in last.keys() - {"kimg"}:
        assert events.Scalars(name)[-1].value == pytest.approx(last[name])
    assert not [tag for tag in events.Tags()["scalars"] if tag.startswith("best/")]
    assert plugin["_hparams_/session_end_info"].session_end_info.status == STATUS_SUCCESS
    settings = plugin["_hparams_/session_start_info"].session_start_info.hparams
    assert settings["best/fd_lenet"].number_value == pytest.approx(best["val/fd_lenet"])
    assert settings["model"].string_value == "cgan"
    assert (settings["seed"].number_value, settings["optimizer.lr"].number_value) == (3, 4e-4)


def test_tensorboard_opens_on_the_monitored_score_and_the_pictures(full, events):
    """It opens the first two groups in the order of their letters."""
    tags = sorted({*events.Tags()["scalars"], *events.Tags()["images"]})
    groups = list(dict.fromkeys(tag.split("/")[0] for tag in tags))
    assert groups == ["monitored", "pictures", "train", "val"]
    scored = [line["val/fd_lenet"] for line in lines(full[0], "protocol")]
    assert [event.value for event in events.Scalars("monitored/fd_lenet")] == pytest.approx(scored)
    assert [event.step for event in events.Images("pictures/real")] == [0]


def test_tensorboard_has_the_settings_as_a_text_and_a_chart_of_both_losses(full, events):
    (event,) = events.Tensors("config/text_summary")
    assert OmegaConf.create(dedent(event.tensor_proto.string_val[0].decode())).optimizer.lr == 4e-4
    assert "custom_scalars__config__" in events.Tags()["tensors"]
    (losses,) = [re.compile(regex) for regex in CHARTS["players"]["losses"][1]]
    matched = {tag for tag in events.Tags()["scalars"] if losses.fullmatch(tag)}
    assert matched == {"train/discriminator/loss", "train/generator/loss"}


def test_logger_csv_writes_a_table_and_logger_none_nothing(train):
    plain = files(train(*RING, "log_every=4", folder="plain"))
    run = train(*RING, "log_every=4", "logger=csv", folder="table")
    assert files(run) - plain == {"metrics.csv", "hparams.yaml"}
    assert not any("events" in name for name in plain)
    head, *rows = (row.split(",") for row in (run / "metrics.csv").read_text().splitlines())
    step, loss = head.index("step"), head.index("train/generator/loss")
    losses = {line["kimg"]: line["train/generator/loss"] for line in lines(run, "train/generator/loss")}
    assert {int(row[step]) / 1000: float(row[loss]) for row in rows} == losses


@pytest.mark.parametrize("columns", [80, 200])
def test_a_dry_run_prints_the_plan_and_writes_nothing(cli, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    args = ["model=wgan", "data=ring", "batch_size=8", "kimg=0.104", "optimizers.generator.lr=1e-3"]
    folder = f"{'deep/' * 20}run"
    assert cli.run("train", *args, "dry_run=true", f"folder={folder}") == 0
    assert list(cli.folder.iterdir()) == []
    generator, critic = 101 * 400 + 401 * 400 + 401 * 2, 3 * 5 * 200 + 201  # 5 pieces of maxout
    expected = [
        ["data", "ring: 2: examples (x), labels (y), as points"],
        ["batches", "13 batches of 8 examples"],
        ["length", "0.104 kimg"],
        # 12 bytes: weight, gradient and RMSprop's mean square
        ["memory", f"{12 * (generator + critic) / 2**20:.0f} MiB for weights, gradients and optimizers"],
        ["generator", "Generator", f"{generator:,}"],
        ["discriminator", "Discriminator", f"{critic:,}"],
        ["discriminator", "discriminator", "discriminator_loss", "batch", "RMSprop 5e-05"],
        ["generator", "generator", "generator_loss", "5 batches", "RMSprop 0.001"],
    ]
    out = capsys.readouterr().out
    assert [row for row in expected if row not in rows(out)] == []
    assert f"run folder   {folder}\n" in out


def test_a_dry_run_rounds_the_number_of_batches_up(cli, capsys):
    assert cli.run("train", *RING, "kimg=0.01", "dry_run=true") == 0
    assert ["batches", "3 batches of 4 examples"] in rows(capsys.readouterr().out)
