"""A working folder with good and bad images, runs, checkpoints and configs."""

import torch
from PIL import Image

from ganrun.cli.main import main

TINY = ["network.width=4", "batch_size=4", "kimg=0.008", "metrics=none", "logger=none"]
RUNS = {
    "cgan": ["model=cgan", "data=digits", *TINY],
    "dcgan": ["model=dcgan", "data=digits", *TINY],
    "points": ["model=gan", "data=ring", *TINY[1:]],
    "cyclegan": [
        *("model=cyclegan", "data=unpaired_digits", "data.size=32", "network=cyclegan_small", "network.blocks=1"),
        *("network.width=2", "batch_size=2", "kimg=0.004", "metrics=none", "logger=none"),
    ],
}
MODEL = "# @package _global_\ndefaults: [dcgan, _self_]\nmodel:\n  "
CONFIGS = {
    "experiment/broken": "# @package _global_\nkimg: [1, 2\n",
    "experiment/tabbed": "\tkimg: 1\n",
    "experiment/lost": "# @package _global_\ndefaults:\n  - override /model: wgn\n",
    "model/nowhere": f"{MODEL}_target_: nowhere.Model\n",
    "model/misspelt": f"{MODEL}_target_: ganrun.models.dcgan.DCGANN\n",
    "model/gan": f"{MODEL}_target_: ganrun.models.dcgan.DCGAN\n",
    "model/deeper": f"{MODEL}depth: 3\n",
    "model/ignored": "model: {d_steps: 3}\n",
    "experiment/ignored": "kimg: 5\n",
    "network/linear": "generator: &l {_target_: torch.nn.Linear, in_features: 3, out_features: 4}\ndiscriminator: *l\n",
}


def write_bad_files(folder):
    """Fill the folder, which must be the working folder."""
    for name, args in RUNS.items():
        assert main(["train", *args, f"folder={name}"]) == 0
    for name in ("pictures", "empty", "damaged", "rotten", "half/trainA", "taken"):
        (folder / name).mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (32, 32), (20 * i, 9, 9)).save(folder / "pictures" / f"{i}.png")
        Image.new("L", (32, 32)).save(folder / "rotten" / f"{i}.png")
    for name in ("damaged", "rotten"):
        (folder / name / "bad.png").write_bytes(b"\x89PNG and no more")
    (folder / "plain").write_text("a file")
    write_weights(folder)
    write_checkpoints(folder, next((folder / "cgan" / "checkpoints").glob("*.ckpt")).read_bytes())
    for name, text in CONFIGS.items():
        path = folder / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_weights(folder):
    (folder / "damaged.pth").write_text("no weights")
    torch.save({"a": torch.zeros(2)}, folder / "other.pth")


def write_checkpoints(folder, good):
    (folder / "text.ckpt").write_text("hello")
    (folder / "empty.ckpt").write_bytes(b"")
    (folder / "cut.ckpt").write_bytes(good[: len(good) // 2])
    middle = len(good) // 2
    (folder / "rotten.ckpt").write_bytes(good[:middle] + bytes(255 - b for b in good[middle : middle + 400]))
    with (folder / "rotten.ckpt").open("ab") as file:
        file.write(good[middle + 400 :])
    torch.save({"state_dict": {"w": torch.zeros(2)}}, folder / "foreign.ckpt")
    torch.save(torch.zeros(3), folder / "tensor.ckpt")
    torch.save(torch.nn.Linear(2, 2), folder / "pickled.ckpt")
    good = torch.load(folder / "cgan" / "checkpoints" / "kimg000000.008.ckpt", weights_only=True)
    torch.save({**good, "ganrun": {**good["ganrun"], "schema": 99}}, folder / "newer.ckpt")
    torch.save({**good, "state_dict": dict(list(good["state_dict"].items())[1:])}, folder / "lacking.ckpt")
    torch.save({name: entry for name, entry in good.items() if name != "state_dict"}, folder / "headless.ckpt")
