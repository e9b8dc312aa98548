"""The game's trajectories against linear theory: on f = x y, a step is z -> M z, a rotation that grows or shrinks."""

import math

import pytest
import torch
from helpers.model_training import job_of, train
from PIL import Image

from ganrun.cli.main import main
from ganrun.config.overrides import with_default_experiment
from ganrun.files import conf_dir
from ganrun.networks.surfaces import SURFACES

RATE = 0.1
MATRICES = {  # of a step on x y: x <- x - RATE y, y <- y + RATE x in the order of each rule
    "game": [[1, -RATE], [RATE, 1]],
    "game_alternating": [[1, -RATE], [RATE, 1 - RATE**2]],
    "game_extragradient": [[1 - RATE**2, -RATE], [RATE, 1 - RATE**2]],
}


def trajectory(model, steps, *settings):
    """The points of a game in float64: [steps + 1, 2]."""
    fixed = ["data=surface", f"model.remember={steps + 1}", f"optimizer.lr={RATE}", "trainer.precision=64-true"]
    return train(job_of(f"model={model}", *fixed, *settings), steps).model.trajectory()


@pytest.mark.parametrize("model", MATRICES)
def test_each_step_is_that_of_linear_theory(model):
    path = trajectory(model, 200)
    step = torch.tensor(MATRICES[model], dtype=torch.float64)
    assert path.dtype == torch.float64
    assert path[0].tolist() == [1, 1]
    assert torch.allclose(path[1:], path[:-1] @ step.T, rtol=0, atol=1e-12 * path.abs().max().item())


def test_simultaneous_steps_grow_and_turn_as_the_eigenvalues_1_plus_minus_i_rate():
    path = torch.view_as_complex(trajectory("game", 300))
    ratio = path[1:] / path[:-1]
    assert ratio.abs() == pytest.approx(torch.full((300,), math.sqrt(1 + RATE**2)).double(), abs=1e-6)
    assert ratio.angle() == pytest.approx(torch.full((300,), math.atan(RATE)).double(), abs=1e-6)


@pytest.mark.slow
def test_alternating_steps_stay_on_an_ellipse():
    """x^2 + y^2 - RATE x y is kept: the matrix has determinant 1 and eigenvalues of modulus 1."""
    x, y = trajectory("game_alternating", 1000).unbind(1)
    energy = x**2 + y**2 - RATE * x * y
    assert energy == pytest.approx(torch.full_like(energy, energy[0].item()), abs=1e-6)


def test_optimistic_steps_follow_their_recursion_and_spiral_in():
    """z' = z + i RATE (2 z - z before); in the end the larger root of r^2 = r + i RATE (2 r - 1) is the factor."""
    path = torch.view_as_complex(trajectory("game_optimistic", 400))
    expected = path[1:-1] + 1j * RATE * (2 * path[1:-1] - path[:-2])
    assert torch.allclose(path[2:], expected, rtol=0, atol=1e-12)
    b = 1 + 2j * RATE
    root = (b + (b**2 - 4j * RATE) ** 0.5) / 2
    assert (path[-1] / path[-2]).abs().item() == pytest.approx(abs(root), abs=1e-6)
    assert abs(root) < 1


def test_extragradient_spirals_in_by_the_modulus_of_its_eigenvalue():
    path = torch.view_as_complex(trajectory("game_extragradient", 300))
    modulus = math.hypot(1 - RATE**2, RATE)
    assert (path[1:] / path[:-1]).abs() == pytest.approx(torch.full((300,), modulus).double(), abs=1e-6)
    assert modulus < 1


@pytest.mark.parametrize("surface", SURFACES)
def test_a_step_goes_down_in_x_and_up_in_y_by_the_slopes(surface):
    path = trajectory("game", 1, f"data.surface={surface}", "model.start=[0.25,-0.5]")
    x, y = (torch.tensor(value, dtype=torch.float64) for value in (0.25, -0.5))
    f, h = SURFACES[surface], 1e-6
    slopes = (f(x + h, y) - f(x - h, y)) / (2 * h), (f(x, y + h) - f(x, y - h)) / (2 * h)
    assert path[1].tolist() == pytest.approx([0.25 - RATE * slopes[0].item(), -0.5 + RATE * slopes[1].item()], abs=1e-8)


def test_the_convex_concave_saddle_is_found():
    assert trajectory("game", 300, "data.surface=saddle")[-1].abs().max() < 1e-6


@pytest.mark.slow
def test_the_command_draws_the_trajectory_and_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = ["logger=none", "trainer.accelerator=cpu", "checkpoint.kimg=0.01", "model.remember=15"]
    assert main(["train", "model=game", "kimg=0.02", "folder=once", *settings]) == 0
    assert main(["train", "model=game", "kimg=0.01", "folder=twice", *settings]) == 0
    assert main(["resume", "twice", "kimg=0.02"]) == 0
    once, twice = (torch.load(f"{run}/checkpoints/kimg000000.020.ckpt")["state_dict"] for run in ("once", "twice"))
    assert all(torch.equal(once[name], twice[name]) for name in once)
    assert once["moves"] == 20
    assert list((tmp_path / "once" / "samples").glob("trajectory-*.png"))
    assert "translate" not in capsys.readouterr().out


def test_an_unknown_surface_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=game", "data=surface", "data.surface=saddel"]) == 2
    assert "data.surface=saddel" in (error := capsys.readouterr().err)
    assert "Did you mean saddle" in error


@pytest.mark.parametrize(
    ("settings", "missing", "fits"),
    [
        (["model=game", "data=digits"], "data.function, which data=digits does not have", "data=surface."),
        (["model=gan", "data=surface"], "network.generator, which network=none does not have", "network=points,"),
    ],
)
def test_what_a_model_needs_of_data_and_network_is_named(settings, missing, fits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *settings]) == 2
    assert missing in (error := capsys.readouterr().err)
    assert fits in error


def test_a_game_neither_samples_nor_translates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=game", "kimg=0.01", "folder=run", "logger=none"]) == 0
    assert main(["sample", "run"]) == 2
    assert capsys.readouterr().err.endswith("game draws no samples.\n")
    Image.new("L", (8, 8)).save("image.png")
    assert main(["translate", "run", "input=image.png"]) == 2
    assert capsys.readouterr().err.endswith("game does not translate.\n")


def test_each_game_alone_runs_the_experiment_of_the_game_and_other_models_none():
    of_games = {path.stem for path in (conf_dir() / "model").glob("game*.yaml")}
    assert len(of_games) == 4
    for path in (conf_dir() / "model").glob("*.yaml"):
        expected = ["experiment=game"] if path.stem in of_games else []
        assert with_default_experiment("train", [f"model={path.stem}"]) == [*expected, f"model={path.stem}"]
    both = ["model=game,game_optimistic"]
    assert with_default_experiment("train", both) == ["experiment=game", *both]
    for args in (["model=game,gan"], ["model=game", "data=surface"], ["model=nothing"], ["model=../gan"]):
        assert with_default_experiment("train", args) == args
