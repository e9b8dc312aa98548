"""Each model has a page, with equations that browsers show, and the figures of benchmarks/models.json."""

import importlib.util
import json
import re
import xml.etree.ElementTree as ET

import pytest
from helpers.doc_blocks import REPOSITORY

from ganrun.config import docs

OVERVIEW = (REPOSITORY / "docs" / "models.md").read_text()
PAGES = sorted((REPOSITORY / "docs" / "models").glob("*.md"))
MODES = [(8, 0.9, 8), (8, 0.92, 8), (7, 0.94, 8)]  # of each seed: modes and high quality at the end, modes at the best
ROW = {
    "table": "ring",
    "row": "pacgan2",
    "settings": ["experiment=pilot_ring", "model=pacgan", "batch_size=256"],
    "runs": {
        str(seed): {
            "kimg": 3072.0,
            "last": {"val/modes": modes, "val/high_quality": quality},
            "best": {"val/modes": best},
        }
        for seed, (modes, quality, best) in enumerate(MODES, 1)
    },
}
GMM = {
    "table": "digits",
    "row": "gmm",
    "settings": ["model=gmm", "data=digits"],
    "runs": {"2": {"kimg": 270.0, "last": {"val/fd_lenet": 321.25}, "best": {}}},
}


@pytest.fixture
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", REPOSITORY / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fill(hooks, tmp_path, monkeypatch):
    """Return a function: rows of models.json, a page -> the page as the site shows it."""

    def filled(rows, markdown):
        (tmp_path / "models.json").write_text(json.dumps(rows))
        monkeypatch.setattr(hooks, "RESULTS", tmp_path / "models.json")
        monkeypatch.setattr(hooks, "PICTURES", tmp_path)
        return hooks.on_page_markdown(markdown, page=None)

    return filled


def test_a_table_has_mean_and_deviation_of_each_score_at_the_end_and_at_the_best_checkpoint(fill):
    assert fill([ROW, GMM], "<!-- results: ring -->").splitlines() == [
        "| ring | modes | high&#95;quality | seeds | kimg |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| [pacgan2](models/pacgan.md) | 7.67 ± 0.58<br><small>best 8</small> | 0.92 ± 0.02 | 3 | 3072 |",
    ]


def test_the_names_of_scores_leave_the_extractor_out(fill):
    assert fill([GMM], "<!-- results: digits -->").startswith("| digits | fd | seeds |")


def test_a_score_that_some_models_lack_leaves_their_cells_empty(fill):
    run = {"kimg": 270.0, "last": {"val/fd_lenet": 9, "val/accuracy": 0.9}, "best": {}}
    acgan = {**GMM, "row": "acgan", "settings": ["model=acgan"], "runs": {"1": run}}
    assert fill([GMM, acgan], "<!-- results: digits -->").splitlines()[2:] == [
        "| [gmm](models/gmm.md) | 321 |  | 1 | 270 |",
        "| [acgan](models/acgan.md) | 9 | 0.9 | 1 | 270 |",
    ]


def test_the_page_of_a_model_has_its_rows_and_their_commands(fill):
    page = fill([ROW, GMM], "<!-- figures: gmm -->").splitlines()
    assert "| [gmm](gmm.md) | 321 | 1 | 270 |" in page
    assert page[-3:] == ["```bash", "ganrun train model=gmm data=digits seed=2", "```"]
    assert not any("pacgan" in line for line in page)


def test_the_picture_of_a_model_comes_last(fill, tmp_path):
    (tmp_path / "gmm.png").touch()
    for seed, data in {"1": "digits", "2": "the ring"}.items():  # of seed 1, that of digits where there is one
        picture = f"![Samples of {data}, seed 1](../images/models/gmm.png)"
        row = {**GMM, "runs": {seed: GMM["runs"]["2"]}}
        assert fill([row], "<!-- figures: gmm -->").endswith(f"```\n\n{picture}")
    assert fill([], "<!-- figures: gmm -->") == picture


def test_without_rows_and_picture_there_is_nothing(fill, hooks, tmp_path):
    assert fill([ROW], "a<!-- results: grid --><!-- figures: gan -->b") == "ab"
    hooks.RESULTS = tmp_path / "none.json"
    assert hooks.on_page_markdown("a<!-- figures: gan -->b", page=None) == "ab"


def test_each_table_of_the_comparison_has_its_place(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    import compare_models

    page = (REPOSITORY / "docs" / "comparison.md").read_text()
    assert re.findall(r"<!-- results: (\w+) -->", page) == list(compare_models.TABLES)


@pytest.mark.parametrize("name", docs.group_choices("model", docs.conf_dirs()))
def test_each_model_has_a_page_with_its_settings_and_figures(name):
    link = re.search(rf"\[`{name}`\]\(models/(\w+)\.md\)", OVERVIEW)
    assert link, f"docs/models.md has no row for model={name}"
    page = (REPOSITORY / "docs" / "models" / f"{link[1]}.md").read_text()
    assert f"../settings.md#model-{name})" in page
    assert re.search(rf"^ganrun train .*model={link[1]}\b", page, re.MULTILINE)
    assert name.startswith("game") or f"<!-- figures: {link[1]} -->" in page


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_equations_of_a_page_become_mathml(path, fill):
    page = fill([], path.read_text())
    equations = re.findall(r'<div class="equation">(.*)</div>', page)
    assert equations
    assert "```math" not in page
    for equation in equations:
        assert "\\" not in "".join(ET.fromstring(equation).itertext())
