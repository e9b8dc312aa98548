"""What `auto` resolves to with a GPU, tested on a machine that pretends to have one."""

import pytest
from helpers.machines import pretend_gpus
from hydra import compose, initialize_config_dir

from ganrun.config.hardware import check_hardware, resolve_hardware
from ganrun.errors import UserError
from ganrun.files import conf_dir


def composed(*overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", ["model=dcgan", "data=digits", *overrides])


@pytest.fixture
def gpu(monkeypatch):
    pretend_gpus(monkeypatch, 2)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("overrides", "graphs", "networks"),
    [
        ([], True, False),
        (["trainer.compile=graphs"], True, False),
        (["trainer.compile=full"], True, True),
        (["trainer.compile=off"], False, False),
        (["trainer.accelerator=cpu"], False, False),
        (["trainer.accelerator=cpu", "trainer.compile=full"], False, True),
        (["trainer.devices=2"], False, False),
        (["trainer.devices=auto"], False, False),
        (["trainer.devices=[0,1]"], False, False),
        (["trainer.devices=[1]"], True, False),
        (["trainer.num_nodes=2"], False, False),
        (["guard=skip"], False, False),
        (["trainer.precision=16-mixed"], False, False),
        (["model._target_=mygan.MyGAN"], False, False),
        (["model._target_=mygan.MyGAN", "trainer.compile=graphs"], True, False),
        (["~trainer.compile"], False, False),
    ],
)
def test_steps_become_cuda_graphs_if_possible_and_those_of_user_classes_only_on_request(overrides, graphs, networks):
    hardware = resolve_hardware(composed(*overrides))
    assert (hardware.cuda_graphs, hardware.compiles_networks) == (graphs, networks)


@pytest.mark.parametrize("requested", ["auto", "graphs", "full"])
def test_without_a_gpu_there_are_no_cuda_graphs(requested):
    assert not resolve_hardware(composed(f"trainer.compile={requested}")).cuda_graphs


@pytest.mark.usefixtures("gpu")
def test_a_batch_in_parts_is_not_captured_as_a_graph():
    hardware = resolve_hardware(composed("accumulate=2"))
    assert not hardware.cuda_graphs
    assert "accumulate adds up the gradients of several batches" in hardware.graph_obstacle


@pytest.mark.parametrize("version", ["2.6.0", "2.10.0+cu128", "2.11.0", "2.12.0.dev20260401"])
def test_torch_compile_is_refused_by_torch_versions_whose_compiler_takes_frozen_networks_for_learning_ones(
    version, monkeypatch
):
    cfg = composed("trainer.compile=full", "trainer.accelerator=cpu")
    monkeypatch.setattr("torch.__version__", version)
    with pytest.raises(UserError) as error:
        check_hardware(cfg.trainer, resolve_hardware(cfg))
    assert f"trainer.compile=full needs PyTorch 2.12 or newer, and this is {version}" in str(error.value)
    assert "Use trainer.compile=auto" in str(error.value)


@pytest.mark.parametrize("version", ["2.12.0", "2.12.1+cpu", "2.13.0+cu132", "3.0.0"])
def test_torch_compile_is_accepted_by_newer_torch_versions(version, monkeypatch):
    cfg = composed("trainer.compile=full", "trainer.accelerator=cpu")
    monkeypatch.setattr("torch.__version__", version)
    monkeypatch.setenv("CXX", "sh")  # any command that exists
    check_hardware(cfg.trainer, resolve_hardware(cfg))
