"""Errors from below, out of memory above all, explained with what to do."""

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


def explanation(error, **changes):
    return str(explain_failure(error, OmegaConf.merge(CFG, changes)))


def raised(kind, act):
    with pytest.raises(kind) as caught:
        act()
    return caught.value


def test_a_full_gpu_is_explained_with_the_size_what_was_free_and_what_to_try():
    assert explanation(torch.OutOfMemoryError(CUDA)) == (
        "The GPU ran out of memory: it could not allocate 20.00 GiB; of 139.72 GiB, 3.06 MiB were free and this run "
        "used 12.50 GiB. Try data.device=cpu (keeps the data in the machine's memory), or "
        "trainer.precision=bf16-mixed, or batch_size=32 accumulate=2 (half as much at once, slower), or "
        "network.width=16 (half)."
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
    text = explanation(raised(kind, act))
    assert text.startswith(f"This machine ran out of memory: it could not allocate {asked}; it has ")
    assert "batch_size=32" in text
    assert "precision" not in text


def test_an_error_without_a_message_is_explained():
    assert "could not allocate more memory; it has" in explanation(raised(MemoryError, lambda: bytearray(2**62)))


@pytest.mark.parametrize("text", ["cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory"])
def test_an_error_without_a_size_is_explained(text):
    assert explanation(RuntimeError(text)).startswith(
        "The GPU ran out of memory: it could not allocate more memory. Try "
    )


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
    assert absent in explanation(torch.OutOfMemoryError(CUDA))
    assert absent not in explanation(torch.OutOfMemoryError(CUDA), **changes)


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
    assert "or trainer.compile=off (CUDA graphs" in explanation(
        torch.OutOfMemoryError(CUDA), trainer={"compile": "auto"}
    )
    assert "compile" not in explanation(torch.OutOfMemoryError(CUDA), trainer={"compile": "off"})


def test_an_operation_without_a_deterministic_form_is_named():
    torch.use_deterministic_algorithms(True)
    try:
        error = raised(RuntimeError, lambda: torch.zeros(3).put_(torch.tensor([0]), torch.tensor([1.0])))
    finally:
        torch.use_deterministic_algorithms(False)
    assert explanation(error).startswith(
        "trainer.deterministic=true cannot be met on this device: put_ has no determin"
    )
