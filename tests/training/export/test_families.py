"""Every model of conf/model, exported to each format, computes what it computes in PyTorch."""

import math
from types import SimpleNamespace

import pytest
import torch
from helpers.model_training import CODED, CONDITIONED, PRESETS, PUZZLING, RECONSTRUCTING, SMALL, job_of

from ganrun.config import docs
from ganrun.errors import Failure, UserError
from ganrun.training.export.bundle import BATCHES, difference_to_model
from ganrun.training.export.formats import FORMATS
from ganrun.training.export.openers import OPENERS
from ganrun.training.export.program_model import ExportedNetwork
from ganrun.training.export.programs import ProgramInput, build_programs
from ganrun.training.export.script import write_script
from ganrun.training.inference import TrainedModel

SMALL_RING = ["data=ring", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]"]
POINTS = ["data=ring", "data.points=600", "network.generator.hidden=[8]"]
SETTINGS = {**SMALL, **PRESETS, **CONDITIONED, **PUZZLING, **RECONSTRUCTING, **CODED} | {
    "adagan": ["model=adagan", "model.components=3", *POINTS],
    "gmm": ["model=gmm", "model.mixture.components=3", "data=ring"],
}
NETWORKS = {  # generators that no model has by default
    "cgan_mlp": ["model=cgan", "network=cgan_mlp", "data=digits"],
    "resnet": ["model=gan", "network=resnet_small", "network.width=8", "data=digits"],
}
# Whose programs have operations that no other of these has; all others are tried with onnxruntime by the slow tests
DIFFERENT = ("projection", "adagan", "gmm")
WITHOUT_SAMPLES = {"game": ["data=surface"], "game_optimistic": ["data=surface"], "autoencoder": CODED["autoencoder"]}
MODELS = [
    name
    for name in docs.group_choices("model", docs.conf_dirs())
    if not name.startswith("game") and name not in WITHOUT_SAMPLES
]


def untrained(name, *overrides):
    """The model of these overrides, with random numbers in all weights and statistics, as if it were loaded."""
    job = job_of(*SETTINGS.get(name, NETWORKS.get(name, [f"model={name}", "data=ring"])), *overrides)
    model = job.model
    model.images_seen = 10**9  # all components of adagan are part of the mixture
    model.configure_model()
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, w in model.state_dict().items():
            if isinstance(w, torch.Tensor) and w.is_floating_point() and "running_var" not in key:
                w += 0.05 * torch.randn(w.shape, generator=random)
    choices = {"model": name, "data": str(job.data.name)}
    return TrainedModel(None, None, model.eval().requires_grad_(False), job.data, 0.0, choices)


def assert_agreement(trained, programs, form, folder):
    """Write the programs in a format, and compare them with the model on 16 samples and on one."""
    folder.mkdir()
    FORMATS[form].write(programs, trained.model, "title", folder)
    for program in programs:
        assert len(program.expected) == 16
        assert program.expected.std() > 1e-3
        run = OPENERS[form](folder, program.name)
        for n in (16, 1):
            found = run(*(each[:n] for each in program.examples))
            assert torch.allclose(found, program.expected[:n], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [*MODELS, *NETWORKS])
def test_the_formats_of_torch_agree_with_the_model_on_16_samples(name, tmp_path):
    trained = untrained(name)
    programs = build_programs(trained)
    directions = ["a_to_b", "b_to_a"] if hasattr(trained.model, "translate") else ["generator"]
    assert [program.name for program in programs] == directions
    for form in ("safetensors", "torchscript"):
        assert_agreement(trained, programs, form, tmp_path / form)


@pytest.mark.parametrize("form", ["safetensors", "torchscript"])
def test_a_model_on_another_device_leaves_its_programs_where_they_are(form, tmp_path):
    """They run on the CPU; float64 stands for a GPU here."""
    trained = untrained("dcgan")
    (program,) = build_programs(trained)
    assert_agreement(trained, [program], form, tmp_path / form)
    network = ExportedNetwork(OPENERS[form](tmp_path / form, program.name), multiple=None).to(torch.float64)
    assert torch.allclose(network(*program.examples), program.expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in DIFFERENT)) for name in (*MODELS, *NETWORKS)]
)
def test_onnxruntime_agrees_with_the_model_on_16_samples(name, tmp_path):
    trained = untrained(name)
    assert_agreement(trained, build_programs(trained)[:1], "onnx", tmp_path / "onnx")


@pytest.mark.slow
def test_onnxruntime_translates_like_the_model_in_both_directions(tmp_path):
    trained = untrained("cyclegan")
    assert_agreement(trained, build_programs(trained), "onnx", tmp_path / "onnx")


@pytest.mark.parametrize("name", WITHOUT_SAMPLES)
def test_a_model_without_samples_is_refused_by_name(name):
    job = job_of(f"model={name}", *WITHOUT_SAMPLES[name])
    with pytest.raises(UserError, match=f"model={name} cannot be exported: it draws no samples and translates nothing"):
        build_programs(TrainedModel(None, None, job.model, job.data, 0.0, {"model": name}))


@pytest.mark.parametrize("bad", BATCHES)
def test_a_program_that_gives_nan_for_one_number_of_samples_is_refused(monkeypatch, tmp_path, bad):
    examples = torch.arange(16.0)
    program = SimpleNamespace(name="generator", examples=[examples], expected=2 * examples)
    run = lambda x: 2 * x * (math.nan if len(x) == bad else 1)  # noqa: E731
    monkeypatch.setitem(OPENERS, "torchscript", lambda folder, name: run)
    with pytest.raises(Failure, match="samples differ from the model's by nan"):
        difference_to_model(program, "torchscript", tmp_path)


@pytest.mark.parametrize(
    ("form", "sampling", "translating"),
    [
        ("safetensors", 'network.g(load_file(here / "weights.safetensors"), z, half)', "getattr(network, name)("),
        ("torchscript", 'torch.jit.load(here / "g.pt")(z, half)', 'torch.jit.load(here / f"{name}.pt")('),
        ("onnx", '(here / "g.onnx").run(None, {"z": z, "half": half})[0]', '(here / f"{name}.onnx").run('),
    ],
)
def test_a_script_calls_the_program_with_its_inputs_whatever_they_are_called(form, sampling, translating):
    def made(name, *inputs):
        return SimpleNamespace(name=name, inputs=inputs, output_shape=[1, 8, 8], is_translation=name != "g")

    drawn = [ProgramInput(name, "normal", [3], torch.zeros(2, 3)) for name in ("z", "half")]
    assert sampling in write_script(form, [made("g", *drawn)], "title").text
    image = ProgramInput("x", "picture", [1, 8, 8], torch.zeros(2, 1, 8, 8), {"multiple": 4})
    assert translating in write_script(form, [made("a_to_b", image)], "title").text
