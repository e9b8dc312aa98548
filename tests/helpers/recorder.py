"""CUDA graphs without a GPU: what a function asks of the CPU is recorded below autograd and done again in place."""

import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

aten = torch.ops.aten
WAITING = {  # what needs the device's answer, which a CUDA graph cannot give, and what brings numbers there
    aten._local_scalar_dense.default,
    aten.is_nonzero.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.lift_fresh.default,
}


class Tape(TorchDispatchMode):
    """The operations within, each with its inputs and outputs. What stood in memory before is kept."""

    def __init__(self):
        super().__init__()
        self.operations, self.made, self.before = [], set(), {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if operation in WAITING and not (operation is aten.lift_fresh.default and is_of_optimizer(sys._getframe())):
            raise RuntimeError(f"{operation} is not permitted while a stream is being recorded")
        for tensor in tensors_in((args, kwargs)):
            memory = tensor.untyped_storage()
            if memory._cdata not in self.made and memory._cdata not in self.before:
                self.before[memory._cdata] = memory, memory.clone()
        result = operation(*args, **kwargs)
        if not operation.is_view:
            outputs = tensors_in(result)
            known = {tensor.untyped_storage()._cdata for tensor in tensors_in((args, kwargs))}
            self.made |= {out.untyped_storage()._cdata for out in outputs} - known
            if "empty" not in operation.name():  # which gives memory and does nothing
                self.operations.append((operation, args, kwargs, outputs))
        return result

    def put_back(self):
        for memory, before in self.before.values():
            memory.copy_(before)

    def replay(self):
        for operation, args, kwargs, outputs in self.operations:
            for out, now in zip(outputs, tensors_in(operation(*args, **kwargs)), strict=True):
                if out is not now:
                    out.copy_(now)


def is_of_optimizer(frame):
    """Whether one of torch's optimizers asks, which makes numbers to count its steps with where they lie on the CPU."""
    while frame and Path(frame.f_code.co_filename).parent != Path(torch.optim.__file__).parent:
        frame = frame.f_back
    return frame is not None


def tensors_in(tree):
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, torch.Tensor)]


class Recorder:
    """In the place of CudaGraphs. As there, nothing is done while it is recorded, and what Python decides stays so."""

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
            tape.put_back()
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
        """What the recording made holds nothing until the first replay."""
        for out in outputs:
            if out.untyped_storage()._cdata in tape.made and out.is_floating_point():
                out.detach().fill_(float("nan"))
