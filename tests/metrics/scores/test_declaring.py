"""A score is declared in one file, and everything else reads the declaration."""

import subprocess
import sys

import pytest
import torch
from helpers.metric_fakes import Means, Noise, Pictures

from ganrun.data.images import to_uint8
from ganrun.errors import UserError
from ganrun.metrics import scores
from ganrun.metrics.sampling import generate_batches
from ganrun.metrics.scores import declarations
from ganrun.metrics.suite import Generation

TOY = """
from ganrun.metrics.scores import score

@score(
    "toy",
    better={"toy_gap": "lower", "toy_peak": "higher"},
    needs=("features", "images"),
    note="{toy_scale} times the gap, against {kid_prdc_reference:,} real",
    settings=lambda samples: {"toy_scale": 3},
)
def toy(inputs):
    gap = 3 * (inputs.real.features.mean() - inputs.features.mean()).abs().item()
    return gap, float(inputs.images.amax() + inputs.real_images.amin())
"""
BASELINE = """
from ganrun.metrics.scores import score

@score("toy", better="higher", needs=("features",), has_baseline=True, note="")
def toy(inputs):
    return float(len(inputs.real.features) + len(inputs.features))
"""


@pytest.fixture
def declare(tmp_path, monkeypatch):
    """Returns a function that puts a file into the folder of the scores."""
    monkeypatch.setattr(scores, "__path__", [*scores.__path__, str(tmp_path)])
    monkeypatch.setattr(scores, "DECLARED", [*scores.available_scores().values()])
    yield lambda text: (tmp_path / "toy_score.py").write_text(text)
    sys.modules.pop("ganrun.metrics.scores.toy_score", None)


def suite(**options):
    return Generation(Means, "val/fd_means", "min", 50, batch_size=20, scores=["fd"], **options)


def test_one_file_in_the_folder_adds_a_score_everywhere(declare):
    declare(TOY)
    data, model, toy = Pictures(), Noise(), suite(final=["toy"], keep=30)
    assert toy.names(model, data) == ["val/fd_means", "val/toy_gap_means", "val/toy_peak_means"]
    assert toy.protocol(data)["toy_scale"] == 3
    assert toy.score_notes(data)["val/toy_gap_means"] == (30, "3 times the gap, against 30 real", "lower")
    assert declarations.better_direction("val/toy_peak_means") == "higher"
    result = toy.score(model, data, is_final=True)
    fakes = torch.cat([to_uint8(x) for x, _ in generate_batches(model, data, 50, 20, 0)])[:30]
    gap = 3 * (toy.real(data, "x").features.mean() - Means()(fakes)[0].mean()).abs().item()
    assert result["val/toy_gap_means"] == pytest.approx(gap)
    assert result["val/toy_peak_means"] == fakes.amax() + data.arrays["x"][:30].amin()


def test_the_settings_of_a_score_affect_comparisons_of_that_score_only(declare):
    declare(TOY)
    protocol = suite(final=["toy"]).protocol(Pictures())
    assert "toy_scale" in declarations.comparable_protocol("val/toy_gap_means", protocol)
    assert not {"toy_scale", "kid_subsets", "floor"} & {*declarations.comparable_protocol("val/fd_means", protocol)}
    assert {"samples", "reference"} <= {*declarations.comparable_protocol("val/fd_means", protocol)}


def test_a_new_baseline_is_measured_although_statistics_are_cached(declare, caplog):
    first = suite().real_baselines(Pictures())
    declare(BASELINE)
    baselines = suite().real_baselines(Pictures())
    assert "no baseline of toy" in caplog.text
    assert baselines.pop("val/toy_means") == 60
    assert baselines == first
    caplog.clear()
    assert suite().real_baselines(Pictures())["val/toy_means"] == 60
    assert not caplog.text


def test_a_users_score_is_named_in_the_config_by_its_module(tmp_path, monkeypatch):
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from ganrun.files import conf_dir

    (tmp_path / "my_scores.py").write_text(TOY)
    monkeypatch.setattr(scores, "DECLARED", [*scores.DECLARED])
    monkeypatch.syspath_prepend(tmp_path)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        overrides = ["metrics.final=[{_target_: my_scores.toy}]", "metrics.samples=20"]
        built = instantiate(compose("metrics/lenet", overrides).metrics)
    data, model = Pictures(), Noise()
    assert {"val/toy_gap_lenet", "val/toy_peak_lenet"} < {*built.score(model, data, is_final=True)}
    assert built.score_notes(data)["val/toy_gap_lenet"].better == "lower"
    assert declarations.better_direction("val/toy_gap_lenet") == "lower"


def test_declarations_read_from_source_equal_the_imported_ones():
    scores.available_scores()
    read = declarations.read_declarations(tuple(scores.__path__))
    declared = [score for score in scores.DECLARED if score.name != "toy"]
    assert sorted((r.name, tuple(r.numbers.items()), r.needs) for r in read) == sorted(
        (score.name, tuple(score.numbers.items()), score.needs) for score in declared
    )


def test_directions_are_known_without_torch():
    code = "import sys; from ganrun.metrics.scores import declarations as d; print(d.better_direction('val/kid'))"
    code += "; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "lower\nFalse\n"


@pytest.mark.parametrize(("wrong", "message"), [(("pixels",), "needs pixels"), (("images",), "baseline")])
def test_an_invalid_declaration_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        scores.Score("toy", better="lower", note="", needs=wrong, has_baseline=True)


def test_images_of_different_sizes_are_refused_by_scores_of_images(declare):
    declare(TOY)
    batches = [(torch.zeros(20, 1, size, size, dtype=torch.uint8), None) for size in (28, 32)]
    with pytest.raises(UserError, match=r"images of one size, got \[1, 28, 28\] and \[1, 32, 32\]"):
        suite(final=["toy"]).score_images(batches, Pictures(), torch.device("cpu"))


def test_a_declaration_that_is_not_a_literal_is_refused_with_its_file(declare):
    declare(TOY.replace('needs=("features", "images")', "needs=NEEDS"))
    with pytest.raises(ValueError, match=r"toy_score.py: name, better and needs of a score must be literals"):
        declarations.better_direction("val/fd")
