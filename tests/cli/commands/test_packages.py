"""The named protocols compute the scores of pytorch-fid, clean-fid and torch-fidelity from the same weights."""

import json
import re
from pathlib import Path

import pytest
from helpers.picture_sets import write_pictures
from helpers.weights import write_random_inception

import ganrun.metrics.extractors.resize
from ganrun.cli.main import main

# Printed by `python scripts/compare_fid.py --images 16` with pytorch-fid 0.3.0, clean-fid 0.1.35, torch-fidelity 0.4.0,
# torch 2.13.0, SciPy 1.17.1. The last digits of the distances are errors of their matrix roots. KID: a subset is all.
THEIRS = {
    "pytorch50k": ("pytorch-fid 0.3.0", {"fid": 881.8613569}),
    "clean50k": ("clean-fid 0.1.35, mode clean", {"fid": 869.4276577, "kid": 748.4639282}),
    "fidelity50k": (
        "torch-fidelity 0.4.0",
        {"fid": 826.6583099, "kid": 591.234751, "precision": 0.6875, "recall": 0.625},
    ),
}
LEGACY_PYTORCH = 881.8613276  # clean-fid's mode of that name


@pytest.fixture(scope="module")
def inputs(workplace):
    """The pictures and weights of scripts/compare_fid.py, as arguments of ganrun eval."""
    fakes = write_pictures(workplace / "fakes", 16, seed=0, gain=0.9)
    real = write_pictures(workplace / "real", 16, seed=1)
    weights = write_random_inception(workplace / "weights.pth")
    return ["--folder", str(fakes), "--against", str(real), "samples=16", f"metrics.weights={weights}"]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", THEIRS)
def test_scores_equal_those_of_the_package_whose_name_the_protocol_bears(inputs, protocol, capsys):
    assert main(["eval", *inputs, f"protocol={protocol}"]) == 0
    (package, values), out = THEIRS[protocol], capsys.readouterr().out
    path = Path(re.search(r"written to +(\S+)", out)[1])
    result = json.loads(path.read_text())
    for name, value in values.items():
        assert result["scores"][f"val/{name}"] == pytest.approx(value, rel=1e-5), name
    assert re.search(rf"^equals +FID of {package}", out, re.MULTILINE)
    assert result["equals"].startswith(package)
    if protocol == "pytorch50k":
        assert result["scores"]["val/fid"] == pytest.approx(LEGACY_PYTORCH, rel=1e-5)


@pytest.mark.slow
def test_the_former_normalisation_is_another_protocol_with_other_cached_statistics_and_another_fid(
    inputs, monkeypatch, capsys
):
    modules = ganrun.metrics.extractors.resize.PREPROCESSING
    former = modules["torch"]._replace(center=128, description="half-pixel bilinear, as pytorch-fid")
    monkeypatch.setitem(modules, "torch", former)
    assert main(["eval", *inputs, "protocol=pytorch50k"]) == 0
    output = capsys.readouterr()
    result = json.loads(Path(re.search(r"written to +(\S+)", output.out)[1]).read_text())
    assert "Measuring 16 real images" in output.err
    assert result["scores"]["val/fid"] != pytest.approx(THEIRS["pytorch50k"][1]["fid"], rel=1e-3)


def test_the_classifier_of_digits_equals_no_package(workplace, capsys):
    a, b = (write_pictures(workplace / f"digits-{seed}", 8, (28, 28), seed) for seed in (0, 1))
    assert main(["eval", "--folder", str(a), "--against", str(b), "metrics=lenet"]) == 0
    out = capsys.readouterr().out
    assert "equals" not in out
    assert json.loads(Path(re.search(r"written to +(\S+)", out)[1]).read_text())["equals"] is None
