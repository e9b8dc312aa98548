"""The scores rank digits that are degraded in known ways."""

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.slow
def test_scores_rank_the_degradations_and_a_collapse_shows_in_recall_and_coverage(capsys):
    spec = importlib.util.spec_from_file_location("sanity", Path(__file__).parents[2] / "scripts" / "sanity.py")
    sanity = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sanity)
    sanity.main()
    head, _, *lines = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()
    )
    rows = {name: dict(zip(head[1:], map(float, cells), strict=True)) for name, *cells in lines}
    assert list(rows) == list(sanity.DEGRADATIONS)
    real, light, heavy, collapsed = list(rows.values())[:4]
    assert min(rows, key=lambda name: rows[name]["fd"]) == "other real digits"
    assert real["fd"] < light["fd"] < heavy["fd"] < collapsed["fd"]
    assert max(collapsed["recall"], collapsed["coverage"]) < 0.2 < 0.9 < collapsed["precision"]
    assert min(real[name] for name in ("precision", "recall", "density", "coverage")) > 0.9
