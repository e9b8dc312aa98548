"""The script that makes the pictures of the models' pages."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    spec = importlib.util.spec_from_file_location("make_pictures", SCRIPTS / "make_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PICTURES", tmp_path / "pictures")
    return module


def write_run(folder, state="done", size=(242, 242)):
    (folder / "samples").mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"state": state}))
    for kimg, colour in (("000010.000", "black"), ("000300.032", "white")):
        Image.new("RGB", size, colour).save(folder / "samples" / f"samples-kimg{kimg}.png")


def test_the_last_samples_on_digits_come_first_and_runs_that_go_on_are_left_out(script, tmp_path, monkeypatch):
    for name in ("digits-lsgan-1", "ring-lsgan-1", "ring-pacgan2-1"):
        write_run(tmp_path / name)
    write_run(tmp_path / "digits-wgan-1", state="running")
    monkeypatch.setattr(sys, "argv", ["make_pictures.py", str(tmp_path)])
    script.main()
    assert sorted(path.name for path in script.PICTURES.iterdir()) == ["lsgan.png", "pacgan.png"]
    assert script.find_runs(tmp_path)["lsgan"].name == "digits-lsgan-1"
    assert Image.open(script.PICTURES / "lsgan.png").getpixel((0, 0)) == 255


@pytest.mark.parametrize(
    ("size", "expected"), [((242, 242), (242, 122)), ((302, 302), (302, 302)), ((400, 400), (400, 400))]
)
def test_a_grid_keeps_four_rows_or_a_row_per_class(script, size, expected):
    assert script.cut(Image.new("RGB", size)).size == expected
