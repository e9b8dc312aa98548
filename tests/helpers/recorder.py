"""A stand-in for CUDA graphs without a GPU: operations are recorded below autograd and repeated in place."""

import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

aten = torch.ops.aten
FORBIDDEN = {  # operations that wait for the device, or copy numbers to it: a CUDA graph cannot contain them
    aten._local_scalar_dense.default,
    aten.is_nonzero.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.lift_fresh.default,
}


class Tape(TorchDispatchMode):
    """Records operations with their inputs and outputs, and what was in memory before."""

    def __init__(self):
        super().__init__()
        self.operations, self.created, self.before = [], set(), {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if operation in FORBIDDEN and not (operation is aten.lift_fresh.default and is_of_optimizer(sys._getframe())):
            raise RuntimeError(f"{operation} is not permitted while a stream is being recorded")
        for tensor in tensors_in((args, kwargs)):
            memory = tensor.untyped_storage()
            if memory._cdata not in self.created and memory._cdata not in self.before:
                self.before[memory._cdata] = memory, memory.clone()
        result = operation(*args, **kwargs)
        if not operation.is_view:
            outputs = tensors_in(result)
            known = {tensor.untyped_storage()._cdata for tensor in tensors_in((args, kwargs))}
            self.created |= {out.untyped_storage()._cdata for out in outputs} - known
            if "empty" not in operation.name():  # which only allocates
                self.operations.append((operation, args, kwargs, outputs))
        return result

    def restore(self):
        for memory, before in self.before.values():
            memory.copy_(before)

    def replay(self):
        for operation, args, kwargs, outputs in self.operations:
            for out, now in zip(outputs, tensors_in(operation(*args, **kwargs)), strict=True):
                if out is not now:
                    out.copy_(now)


def is_of_optimizer(frame):
    """Return whether torch's optimizer is the caller, which creates its step counts on the CPU."""
    while frame and Path(frame.f_code.co_filename).parent != Path(torch.optim.__file__).parent:
        frame = frame.f_back
    return frame is not None


def tensors_in(tree):
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, torch.Tensor)]


class Recorder:
    """Replaces CudaGraphCapture: a capture computes nothing here either, and fixes the decisions made in Python."""

    def __init__(self):
        self.replayed = 0

    def side_stream(self):
        return nullcontext()

    def capture(self, work):
        draws, tape = torch.get_rng_state(), Tape()
        try:
            with tape:
                work()
        finally:
            tape.restore()
            torch.set_rng_state(draws)
        for _, _, _, outputs in tape.operations:
            self._spoil(tape, outputs)

        def replay():
            self.replayed += 1
            with torch.no_grad():
                tape.replay()

        return replay

    @staticmethod
    def _spoil(tape, outputs):
        """Fill the tensors created by the capture with NaN: they have no values before the first replay."""
        for out in outputs:
            if out.untyped_storage()._cdata in tape.created and out.is_floating_point():
                out.detach().fill_(float("nan"))
