"""The notebook runs as written, with a shorter training."""

import json
from pathlib import Path

import pytest
from PIL import Image

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def code_cells():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run_cell(text, names):
    """Run a cell, and return the value of its last line if that is an expression: what a notebook shows."""
    *lines, last = text.splitlines()
    try:
        shown = compile(last, "cell", "eval")
    except SyntaxError:
        return exec(text, names)
    exec("\n".join(lines), names)
    return eval(shown, names)


def test_the_cells_run_in_order_and_show_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first, *others = code_cells()
    assert "KIMG = 150" in first
    names = {}
    run_cell(first.replace("KIMG = 150", "KIMG = 0.4"), names)
    shown = [run_cell(text, names) for text in others]
    assert [value.size for value in shown if isinstance(value, Image.Image)] == [(400, 400)] * 2
    assert shown[0][0] == "done"
    assert {*shown[1]} == {"val/modes", "val/high_quality"}
    table = [line for line in capsys.readouterr().out.splitlines() if " kimg   val/" in line]
    assert len(table) == 2
    assert all(line.startswith("outputs/train/gan-ring/") for line in table)


def test_it_is_saved_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(
        cell["outputs"] == [] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code"
    )


@pytest.mark.parametrize("text", code_cells())
def test_each_cell_is_python(text):
    compile(text, "cell", "exec")
