"""ganrun sample and translate, on a run folder, a checkpoint file and the word last."""

import shlex
import shutil

import numpy as np
import pytest
import torch
from helpers.runs import RING, SCORED, load_checkpoint
from omegaconf import OmegaConf
from PIL import Image

from ganrun import seeds
from ganrun.cli.main import main
from ganrun.data.images import to_float, to_uint8
from ganrun.networks.cyclegan import ResNetGenerator
from ganrun.training import inference

COMMON = [
    "network.width=4",
    "batch_size=4",
    "init.std=0.3",
    "logger=none",
]  # init so wide that pixels differ
CGAN = ["model=cgan", "data=digits", *COMMON, *SCORED, "kimg=0.032"]
TRANSLATION = ["model=cyclegan", "data=unpaired_digits", "data.size=32", "network.blocks=1", "kimg=0.004"]


@pytest.fixture(scope="module")
def work(workplace):
    """The working folder, with runs of gan on points, cyclegan and cgan (with EMA)."""
    assert main(["train", *RING, "folder=points"]) == 0
    assert main(["train", *TRANSLATION, *COMMON, "metrics=none", "folder=cyclegan"]) == 0
    assert main(["train", *CGAN, "ema.half_life_kimg=0.02"]) == 0
    return workplace


@pytest.fixture(scope="module")
def cgan(work):
    """The run that `last` refers to."""
    (run,) = (work / "outputs" / "train" / "cgan-digits").iterdir()
    return run


@pytest.fixture
def make(work, tmp_path):
    """Runs a command with its own `out` folder, and returns that folder."""

    def make(args, out="out"):
        assert main([*shlex.split(args), f"out={tmp_path / out}"]) == 0
        return tmp_path / out

    return make


@pytest.fixture
def sample(make):
    """Returns the arrays that `ganrun sample as=npz` writes."""

    def sample(args, out="out"):
        with np.load(make(f"sample {args} as=npz", out) / "samples.npz") as arrays:
            return dict(arrays)

    return sample


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def load_model(run):
    return inference.load_trained_model(OmegaConf.create({"run": str(run), "which": "last", "device": "cpu"})).model


def test_the_samples_cycle_through_the_chosen_classes(sample):
    result = sample("last n=7 batch_size=3 classes=[3,7]")
    assert (result["x"].shape, result["x"].dtype) == ((7, 28, 28, 1), np.uint8)
    assert result["y"].tolist() == [3, 7, 3, 7, 3, 7, 3]
    whole, threes = sample("last n=7 classes=[3,7]", "whole"), sample("last n=7 classes=3", "threes")
    difference = np.abs(result["x"].astype(int) - threes["x"]).reshape(7, -1).max(1)
    assert difference[::2].max() <= 1  # the same noise, the same class
    assert difference[1::2].min() > 1
    assert np.abs(result["x"].astype(int) - whole["x"]).max() <= 1
    assert result["x"].std(0).mean() > 2


def test_the_seed_decides_the_samples(sample):
    first, again, other = (sample(f"last n=5 seed={seed}", f"{i}")["x"] for i, seed in enumerate((1, 1, 2)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_points_are_written_as_an_array_or_a_scatter_plot(sample, make):
    result = sample("points n=9")
    assert list(result) == ["x"]
    assert result["x"].dtype == np.float32
    model = load_model("points")
    assert result["x"] == pytest.approx(model.sample(9, generator=seeds.generator(0)).numpy(), abs=1e-6)
    assert pixels(make("sample points n=9", "scatter") / "grid.png").shape == (400, 400, 3)


def test_grid_and_folder_hold_the_same_samples_as_the_array(sample, make):
    x, y = sample("last n=20").values()
    grid = pixels(make("sample last n=20 columns=8", "grid") / "grid.png")
    assert grid.shape == (3 * 30 + 2, 8 * 30 + 2, 3)
    folder = make("sample last n=20 as=folder", "folder")
    assert len({*folder.rglob("*.png")}) == 20
    for i in range(20):
        top, left = 2 + i // 8 * 30, 2 + i % 8 * 30
        assert (grid[top : top + 28, left : left + 28] == x[i]).all()
        assert (pixels(folder / str(y[i]) / f"{i:06d}.png") == x[i]).all()


def test_samples_come_from_the_averaged_weights(cgan, sample, tmp_path):
    saved = load_checkpoint(cgan)
    for prefix in ("generator.", "averaged.generator."):
        state = {k: torch.zeros_like(v) if k.startswith(prefix) else v for k, v in saved["state_dict"].items()}
        torch.save({**saved, "state_dict": state}, tmp_path / f"{prefix}ckpt")
    plain = sample("last n=5")["x"]
    assert np.array_equal(sample(f"{tmp_path}/generator.ckpt n=5", "live")["x"], plain)
    assert (sample(f"{tmp_path}/averaged.generator.ckpt n=5", "mean")["x"] == 128).all()


@pytest.fixture
def photos(tmp_path):
    """Images of several sizes and colour modes."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 4), dtype=np.uint8)
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.fromarray(noise[0, ..., :3]).save(tmp_path / "photos" / "colour.png")
    Image.fromarray(noise[1, ..., 0]).resize((40, 56)).save(tmp_path / "photos" / "grey.png")
    Image.fromarray(noise[2]).save(tmp_path / "photos" / "deep" / "transparent.png")
    return tmp_path / "photos"


def test_the_commands_in_the_summary_work(cli, capsys, photos):
    assert main(["train", *TRANSLATION, *COMMON, "metrics=none", "folder=run"]) == 0
    (advice,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next")]
    for command in advice.removeprefix("next").split("   or   "):
        assert main(shlex.split(command.replace("FOLDER", str(photos)))[1:]) == 0


@pytest.mark.parametrize("to", ["a", "b"])
def test_images_are_translated_to_either_domain(make, photos, to):
    out = make(f"translate cyclegan input={photos} to={to} batch_size=2 size=data")
    assert {path.name for path in out.iterdir()} == {"pictures", "pairs.png"}
    result = {str(path.relative_to(out / "pictures")) for path in out.glob("pictures/**/*.png")}
    assert result == {"colour.png", "grey.png", "deep/transparent.png"}
    pairs = pixels(out / "pairs.png")
    results = [pixels(out / "pictures" / f"{name}.png") for name in ("colour", "deep/transparent", "grey")]
    assert [image.shape for image in results] == 3 * [(32, 32, 3)]
    x = pixels(photos / "colour.png")
    model = load_model("cyclegan")
    assert np.abs(results[0] - translate_image(model, x, to)).max() <= 1
    assert np.abs(results[0] - translate_image(model, x, {"a": "b", "b": "a"}[to])).max() > 1
    assert pairs.shape == (32 + 4, 6 * 34 + 2, 3)
    assert (pairs[2:34, 2:34] == x).all()
    for left, image in zip((36, 104, 172), results, strict=True):
        assert (pairs[2:34, left : left + 32] == image).all()


def translate_image(model, x, to):
    """Translate one image: int [H, W, 3]."""
    x = to_float(torch.tensor(x).permute(2, 0, 1))[None]
    return to_uint8(model.translate(x, to))[0].permute(1, 2, 0).int().numpy()


def test_images_keep_their_size_and_are_padded_meanwhile(make, tmp_path, capsys):
    (tmp_path / "odd").mkdir()
    sizes = {"small": (3, 5), "wide": (30, 41), "even": (32, 48), "wide 2": (30, 41)}
    for i, (name, sides) in enumerate(sizes.items()):
        noise = np.random.default_rng(i).integers(0, 256, (*sides, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "odd" / f"{name}.png")
    out = make(f"translate cyclegan input={tmp_path / 'odd'} to=b")
    net = load_model("cyclegan").net("a_to_b").eval()
    for name, (height, width) in sizes.items():
        x = to_float(torch.tensor(pixels(tmp_path / "odd" / f"{name}.png")).permute(2, 0, 1))[None]
        rows = [min(row, height - 1) for row in range(max(8, -(-height // 4) * 4))]
        columns = [min(column, width - 1) for column in range(max(8, -(-width // 4) * 4))]
        with torch.no_grad():
            expected = to_uint8(net(x[:, :, rows][..., columns]))[0, :, :height, :width].permute(1, 2, 0)
        result = pixels(out / "pictures" / f"{name}.png")
        assert result.shape == (height, width, 3)
        assert np.abs(result - expected.int().numpy()).max() <= 1
    assert pixels(out / "pairs.png").shape == (32 + 4, 8 * (48 + 2) + 2, 3)
    assert "kept: 3x5 to 32x48 (height x width); trained at 32x32" in capsys.readouterr().out


def test_pairs_are_shown_as_thumbnails_of_large_images(make, tmp_path):
    Image.new("RGB", (640, 480), (200, 30, 60)).save(tmp_path / "large.jpg")
    out = make(f"translate cyclegan input={tmp_path / 'large.jpg'}")
    assert pixels(out / "pictures" / "large.png").shape == (480, 640, 3)
    pairs = pixels(out / "pairs.png")
    assert pairs.shape == (192 + 4, 2 * (256 + 2) + 2, 3)
    assert np.abs(pairs[100, 100] - [200, 30, 60]).max() <= 3


def test_the_size_of_the_training_is_named(make, photos, capsys):
    make(f"translate cyclegan input={photos} size=data")
    assert "32x32 (height x width), as in the training, with data.fit=crop; size=keep" in capsys.readouterr().out


@pytest.mark.parametrize("to", ["A", "B"])
def test_domains_may_be_capital_letters(make, photos, to):
    outs = [make(f"translate cyclegan input={photos} to={name}", name) for name in (to, to.lower())]
    assert all((pixels(outs[0] / "pairs.png") == pixels(outs[1] / "pairs.png")).flatten())


def test_a_model_that_translates_one_size_only_gets_it(make, photos, monkeypatch, capsys, tmp_path):
    monkeypatch.delattr(ResNetGenerator, "multiple")
    out = make(f"translate cyclegan input={photos}")
    assert pixels(out / "pictures" / "grey.png").shape == (32, 32, 3)
    capsys.readouterr()
    assert main(["translate", "cyclegan", f"input={photos}", "size=keep", f"out={tmp_path / 'other'}"]) == 2
    assert "cyclegan translates 32x32 pixels only. Use size=data." in capsys.readouterr().err


def test_memory_that_does_not_suffice_is_a_failure_with_a_way_out(work, photos, monkeypatch, capsys, tmp_path):
    def translate(*args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")

    monkeypatch.setattr(inference.TrainedModel, "translate", translate)
    assert main(["translate", "cyclegan", f"input={photos / 'grey.png'}", f"out={tmp_path / 'out'}"]) == 1
    assert "1 images of 56x40 pixels at once. Use size=data" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["deep/colour.png", "colour.bmp", "pairs.png"])
def test_translations_do_not_overwrite_each_other(make, photos, name):
    Image.new("RGB", (32, 32)).save(photos / name)
    out = make(f"translate cyclegan input={photos}")
    assert len({*out.rglob("*.png")}) == 4 + 1  # with pairs.png


@pytest.mark.parametrize("form", ["grid", "npz", "folder"])
def test_more_samples_than_memory_holds_are_refused_before_any_is_drawn(work, capfd, monkeypatch, form):
    monkeypatch.setattr(inference.free_memory, "free_main_memory", lambda: 2**20)
    before = {*work.rglob("*")}
    assert main(["sample", "last", "n=2000000000", f"as={form}"]) == 2
    message = capfd.readouterr().err
    assert "n=2000000000 samples take 17,944,336 MiB of memory, and 1 MiB are free. Draw them in parts" in message
    assert message.endswith("n=100 seed=1.\n")
    assert {*work.rglob("*")} == before
    assert main(["sample", "last", "n=100", f"as={form}", "out=parts"]) == 0
    shutil.rmtree(work / "parts")


@pytest.mark.parametrize("command", ["sample last", "export last", "translate cyclegan"])
def test_a_folder_that_exists_is_refused_before_any_work(work, photos, capfd, monkeypatch, command):
    for name in ("sample", "translate", "score"):
        monkeypatch.setattr(inference.TrainedModel, name, None, raising=False)  # nothing can be computed
    (work / "taken").mkdir()
    args = [
        *command.split(),
        "out=taken",
        *([f"input={photos / 'grey.png'}"] if command.startswith("translate") else []),
    ]
    assert main(args) == 2
    err = capfd.readouterr().err
    assert "taken exists. Give a new" in err
    assert "sampling" not in err
    assert not [*(work / "taken").iterdir()]
    (work / "taken").rmdir()


def test_memory_that_runs_out_in_any_command_is_one_message(work, capfd, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 17179869176 bytes.")

    monkeypatch.setattr(inference.TrainedModel, "sample", fail)
    assert main(["sample", "last", "n=4"]) == 1
    assert "Out of memory: there is no room for 17179869176 bytes at once" in (err := capfd.readouterr().err)
    assert "Traceback" not in err
