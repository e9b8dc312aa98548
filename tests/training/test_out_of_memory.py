"""What ends a training from below, in words that tell what to do."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from ganrun.errors import Failure
from ganrun.training.out_of_memory import explain_failure, format_bytes

CFG = {
    "batch_size": 64,
    "network": {"width": 32},
    "data": {"device": "auto"},
    "trainer": {"precision": "auto"},
}
CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.72 GiB of which 3.06 MiB is "
    "free. Including non-PyTorch memory, this process has 12.50 GiB memory in use. Of the allocated memory 9.00 GiB is "
    "allocated by PyTorch, and 1.00 GiB is reserved by PyTorch but unallocated."
)


def told(error, **changes):
    return str(explain_failure(error, OmegaConf.merge(CFG, changes)))


def raised(kind, act):
    with pytest.raises(kind) as caught:
        act()
    return caught.value


def test_a_full_gpu_is_told_with_what_was_asked_for_what_there_is_and_what_to_try():
    assert told(torch.OutOfMemoryError(CUDA)) == (
        "The memory of the GPU ran out: 20.00 GiB more were asked for; of its 139.72 GiB 3.06 MiB were free, 12.50 GiB "
        "this run's. Try data.device=cpu (the examples then lie in the machine's memory), or "
        "trainer.precision=bf16-mixed, or batch_size=32 (half: the gradients are noisier), or network.width=16 (half)."
    )


def test_it_is_a_failure_of_the_run_not_of_its_command():
    error = explain_failure(torch.cuda.OutOfMemoryError(CUDA), OmegaConf.create(CFG))
    assert isinstance(error, Failure)
    assert error.exit_code == 1


@pytest.mark.parametrize(
    ("act", "kind", "asked"),
    [
        (lambda: torch.empty(10**14), RuntimeError, "363.80 TiB"),
        (lambda: np.zeros(10**14), MemoryError, "728. TiB"),
    ],
)
def test_the_allocators_own_errors_of_the_machine_are_understood(act, kind, asked):
    text = told(raised(kind, act))
    assert text.startswith(f"The memory of this machine ran out: {asked} more were asked for; it has ")
    assert "batch_size=32" in text
    assert "precision" not in text


def test_an_error_without_words_is_told_too():
    assert "more was asked for; it has" in told(raised(MemoryError, lambda: bytearray(2**62)))


@pytest.mark.parametrize("text", ["cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory"])
def test_an_error_that_names_no_size_is_told_too(text):
    assert told(RuntimeError(text)).startswith("The memory of the GPU ran out: more was asked for. Try ")


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({"batch_size": 1}, "batch_size"),
        ({"trainer": {"precision": "bf16-mixed"}}, "precision"),
        ({"data": {"device": "cpu"}}, "data.device"),
        ({"network": {"width": None}}, "network.width"),
    ],
)
def test_only_what_would_help_is_offered(changes, absent):
    assert absent in told(torch.OutOfMemoryError(CUDA))
    assert absent not in told(torch.OutOfMemoryError(CUDA), **changes)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_are_left_alone(error):
    assert explain_failure(error, OmegaConf.create(CFG)) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), ("2048 bytes", "2.00 KiB"), (3 * 2**40, "3.00 TiB"), ("2.5 GiB", "2.5 GiB")],
)
def test_sizes_are_readable(size, text):
    assert format_bytes(size) == text


def test_a_gpu_full_of_graphs_may_go_on_without_them():
    assert "or trainer.compile=off (a CUDA graph" in told(torch.OutOfMemoryError(CUDA), trainer={"compile": "auto"})
    assert "compile" not in told(torch.OutOfMemoryError(CUDA), trainer={"compile": "off"})


def test_an_operation_without_a_deterministic_form_is_named():
    torch.use_deterministic_algorithms(True)
    try:
        error = raised(RuntimeError, lambda: torch.zeros(3).put_(torch.tensor([0]), torch.tensor([1.0])))
    finally:
        torch.use_deterministic_algorithms(False)
    assert told(error).startswith("trainer.deterministic=true cannot be kept on this device: put_ has no determin")
