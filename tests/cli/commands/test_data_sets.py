"""Each downloadable data set trains, scores and saves from its files on disk, in every layout they come in."""

import json

import pytest
import torch
from helpers.celeba_files import NAMES, face, write_tables
from helpers.cifar10_files import write_folder
from helpers.idx_files import write_idx
from helpers.weights import write_random_inception

TINY = ["network.width=8", "batch_size=4", "kimg=0.008", "logger=none"]
SCORED = ["metrics.samples=4", "metrics.reference=4", "validate_kimg=1"]  # only at the end


def celeba(root, kaggle=False):
    pictures = root / "img_align_celeba" / ("img_align_celeba" if kaggle else "")
    pictures.mkdir(parents=True)
    for i, name in enumerate(NAMES):
        face(i).save(pictures / name, quality=95)
    write_tables(root, "csv" if kaggle else "txt")


LAYOUTS = {
    # {data set: {layout: function that writes it}}
    "celeba": {
        "official": celeba,
        "torchvision": lambda root: celeba(root / "celeba"),
        "repacked": lambda root: celeba(root, kaggle=True),
    },
    "cifar10": {
        layout: lambda root, layout=layout: write_folder(root / layout, layout)
        for layout in ("cifar-10-batches-py", "cifar-10-batches-bin")
    },
    "mnist": {
        "torchvision": lambda root: write_idx(root / "MNIST" / "raw", packed=False),
        "packed": lambda root: write_idx(root, packed=True),
    },
    "fashion_mnist": {
        "torchvision": lambda root: write_idx(root / "FashionMNIST" / "raw", packed=False),
        "packed": lambda root: write_idx(root, packed=True),
    },
}
MONITORS = {"celeba": "val/fid", "cifar10": "val/fid", "mnist": "val/fd_lenet", "fashion_mnist": "val/fid"}
QUICK = {("celeba", "repacked"), ("mnist", "torchvision"), ("mnist", "packed")}  # Inception takes seconds
CASES = [(data, layout) for data, layouts in LAYOUTS.items() for layout in layouts]
SCORES = [pytest.param(*case, id="-".join(case), marks=[] if case in QUICK else pytest.mark.slow) for case in CASES]


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory):
    return write_random_inception(tmp_path_factory.mktemp("weights") / "inception.pth")


@pytest.fixture
def train(cli, tmp_path):
    """Trains dcgan for two batches on a tiny data set in that layout. Returns the run folder and its status."""

    def train(data, layout, *args):
        root, run = tmp_path / "files", cli.folder / "run"
        LAYOUTS[data][layout](root)
        assert cli.run("train", "model=dcgan", f"data={data}", f"data.root={root}", *TINY, *args, "folder=run") == 0
        return run, json.loads((run / "status.json").read_text())

    return train


def check_checkpoint(run):
    names = json.loads((run / "checkpoints" / "manifest.json").read_text())
    checkpoint = torch.load(run / "checkpoints" / names["last"], weights_only=True)
    assert checkpoint["seen"]["batches"] == 2
    assert checkpoint["seen"]["images"] == 8
    return names


@pytest.mark.slow
@pytest.mark.parametrize(("data", "layout"), SCORES)
def test_two_batches_are_trained_scored_and_saved(train, inception_file, data, layout):
    weights = [] if data == "mnist" else [f"metrics.weights={inception_file}"]
    run, status = train(data, layout, *SCORED, *weights)
    assert status["state"] == "done"
    assert status["kimg"] == 0.008
    monitor = MONITORS[data]
    assert status["last"][monitor] > 0
    assert status["best"] == status["last"]
    assert status["last"][monitor.replace("fid", "is").replace("fd_", "is_")] > 1 - 1e-5
    names = check_checkpoint(run)
    assert names["best"] == names["last"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (protocol,) = [line["protocol"] for line in lines if "protocol" in line]
    assert (protocol["samples"], protocol["reference"]) == (4, 4)
    assert protocol["extractor"] == ("lenet" if data == "mnist" else "inception")


@pytest.mark.parametrize(("data", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_without_metrics_two_batches_are_trained_and_saved(train, data, layout):
    run, status = train(data, layout, "metrics=none")
    assert status["state"] == "done"
    assert status["best"] == status["last"] == {}
    assert check_checkpoint(run)["best"] is None
    assert list((run / "samples").glob("*.png"))


def test_celeba_attributes_become_the_classes_of_a_conditional_model(cli, tmp_path):
    celeba(tmp_path / "files")
    args = ["data.attributes=[Male,Smiling]", f"data.root={tmp_path / 'files'}", "metrics=none", *TINY]
    assert cli.run("train", "model=cgan", "data=celeba", *args, "folder=run") == 0
    assert cli.run("sample", "run", "as=npz", "n=8", "out=drawn") == 0
    assert "classes: 4" in (cli.folder / "run" / "config.yaml").read_text()
