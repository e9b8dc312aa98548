"""What trainer.precision=auto means, on machines that pretend to compute bfloat16 or not."""

import platform
from pathlib import Path

import pytest
import torch
from helpers.machines import pretend_cpu, pretend_gpus
from hydra import compose, initialize_config_dir

from ganrun.config import precision
from ganrun.config.hardware import resolve_hardware
from ganrun.files import conf_dir

DIGITS = ["model=dcgan", "data=digits"]
POINTS = ["model=gan", "data=ring"]
CYCLEGAN = ["model=cyclegan", "data=unpaired"]


def resolved(*overrides, begun=None):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return resolve_hardware(compose("train", [*overrides]), begun)


@pytest.fixture
def modern_cpu(monkeypatch):
    pretend_cpu(monkeypatch, has_bfloat16=True)


@pytest.fixture
def gpu(monkeypatch):
    pretend_gpus(monkeypatch, 1)


@pytest.mark.usefixtures("modern_cpu")
@pytest.mark.parametrize(
    ("overrides", "chosen", "reason"),
    [
        (DIGITS, "bf16-mixed", "this CPU computes bfloat16 natively"),
        ([*DIGITS, "trainer.accelerator=cpu"], "bf16-mixed", "this CPU computes bfloat16 natively"),
        (["model=cgan", "data=digits"], "bf16-mixed", "natively"),
        (["model=wgan", "data=digits"], "bf16-mixed", "natively"),
        ([*CYCLEGAN, "data.size=64"], "bf16-mixed", "natively"),
        (POINTS, "32-true", "points need more than bfloat16's 8 bits"),
        ([*POINTS, "batch_size=5000"], "32-true", "points"),
        (["model=cyclegan", "data=unpaired_digits"], "32-true", "a batch of 784 pixels is too small"),
        ([*CYCLEGAN, "data.size=60"], "32-true", "a batch of 3,600 pixels is too small"),
        ([*DIGITS, "batch_size=5"], "32-true", "a batch of 3,920 pixels is too small"),
        ([*DIGITS, "batch_size=6"], "bf16-mixed", "natively"),
        ([*DIGITS, "batch_size=6", "trainer.devices=2"], "32-true", "a batch of 2,352 pixels is too small"),
        ([*DIGITS, "batch_size=3", "accumulate=4"], "32-true", "a batch of 2,352 pixels is too small"),
        ([*DIGITS, "trainer.num_nodes=2"], "32-true", "the CPUs of several machines may differ"),
        ([*DIGITS, "model._target_=mygan.MyGAN"], "32-true", "trainer.precision=bf16-mixed tries it"),
        ([*DIGITS, "network.generator._target_=nets.Mine"], "32-true", "classes of your own"),
        ([*DIGITS, "data.source._target_=mine.Files"], "bf16-mixed", "natively"),
        ([*DIGITS, "~data.shape"], "32-true", "the size of the images is not known"),
        ([*DIGITS, "trainer.accelerator=mps"], "32-true", "float32 is used on mps"),
        ([*DIGITS, "trainer.precision=32-true"], "32-true", "as set"),
        ([*POINTS, "trainer.precision=bf16-mixed"], "bf16-mixed", "as set"),
    ],
)
def test_a_cpu_with_bfloat16_takes_it_where_it_pays(overrides, chosen, reason):
    hardware = resolved(*overrides)
    assert hardware.precision == chosen
    assert reason in hardware.precision_reason


@pytest.mark.parametrize("overrides", [DIGITS, [*DIGITS, "trainer.accelerator=cpu"]])
def test_a_cpu_without_bfloat16_stays_in_float32(overrides, monkeypatch):
    pretend_cpu(monkeypatch, has_bfloat16=False)
    hardware = resolved(*overrides)
    assert hardware.precision == "32-true"
    assert hardware.precision_reason == "this CPU does not compute bfloat16 natively"


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("overrides", "chosen"),
    [
        (DIGITS, "bf16-mixed"),
        ([*DIGITS, "batch_size=1"], "bf16-mixed"),
        ([*DIGITS, "model._target_=mygan.MyGAN"], "bf16-mixed"),
        (POINTS, "32-true"),
        ([*DIGITS, "trainer.accelerator=cpu"], "32-true"),
    ],
)
def test_a_gpu_with_bfloat16_takes_it_for_all_images(overrides, chosen, monkeypatch):
    pretend_cpu(monkeypatch, has_bfloat16=False)
    assert resolved(*overrides).precision == chosen


@pytest.mark.usefixtures("gpu")
def test_a_gpu_without_bfloat16_stays_in_float32_whatever_the_cpu_has(monkeypatch):
    pretend_cpu(monkeypatch, has_bfloat16=True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    hardware = resolved(*DIGITS)
    assert hardware.precision_reason == "this GPU does not compute bfloat16 natively"
    assert hardware.precision == "32-true"


def test_the_gpu_of_a_mac_is_not_taken_for_its_cpu(monkeypatch):
    pretend_cpu(monkeypatch, has_bfloat16=True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolved(*DIGITS).precision == "32-true"


@pytest.mark.usefixtures("modern_cpu")
@pytest.mark.parametrize(
    ("begun", "chosen"), [("32-true", "32-true"), ("bf16-mixed", "bf16-mixed"), (precision.UNRECORDED, "32-true")]
)
def test_what_was_chosen_when_the_run_began_stays(begun, chosen):
    for overrides in (DIGITS, POINTS):
        hardware = resolved(*overrides, begun=begun)
        assert (hardware.precision, hardware.precision_reason) == (chosen, "as the run began")


@pytest.mark.usefixtures("gpu")
def test_a_run_of_version_0_1_goes_on_as_before_on_a_gpu():
    assert resolved(*DIGITS, begun=precision.UNRECORDED).precision == "bf16-mixed"


def test_an_unknown_precision_in_a_file_is_not_taken_over(monkeypatch):
    pretend_cpu(monkeypatch, has_bfloat16=False)
    assert resolved(*DIGITS, begun="64-banana").precision == "32-true"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("AVX512_CORE", False), ("avx2", False), ("AVX512_CORE_BF16", True), ("AVX512_CORE_AMX", True), ("ALL", True)],
)
@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_a_limit_for_onednn_below_bfloat16_counts(variable, limit, expected, monkeypatch):
    pretend_cpu(monkeypatch, has_bfloat16=True)
    monkeypatch.setenv(variable, limit)
    assert precision.computes_bfloat16() == expected


def test_without_onednn_or_torchs_answer_there_is_no_bfloat16(monkeypatch):
    pretend_cpu(monkeypatch, has_bfloat16=True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not precision.computes_bfloat16()
    monkeypatch.undo()
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert not precision.computes_bfloat16()


@pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64", reason="reads Linux's list of flags"
)
def test_the_instructions_of_this_cpu_are_those_that_linux_lists(monkeypatch):
    for variable in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(variable, raising=False)
    flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    assert precision.computes_bfloat16() == ("avx512_bf16" in flags.split())
