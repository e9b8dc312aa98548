"""Capture of CUDA graphs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch


class CudaGraphCapture:
    """Captures work on a CUDA device as a graph that can be replayed."""

    def __init__(self, device: torch.device):
        self.device, self.stream = device, torch.cuda.Stream(device)

    @contextmanager
    def side_stream(self) -> Iterator[None]:
        """Run work on the stream of the capture, as CUDA asks for the warm-up steps before it."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            yield
        current.wait_stream(self.stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return a function that replays `work` in the same memory. The capture itself computes nothing."""
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        try:
            # Only this thread may break the capture: another one pins batches meanwhile.
            with torch.cuda.graph(graph, pool=pool, stream=self.stream, capture_error_mode="thread_local"):
                work()
        except BaseException:
            self._end_failed_capture(pool)
            raise
        return graph.replay

    def _end_failed_capture(self, pool) -> None:
        """Reset the allocator and the generator, which a failed capture leaves in capturing mode."""
        index = self.device.index or 0
        names = ("_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool")  # of new and of older torch
        end = next(getattr(torch._C, name) for name in names if hasattr(torch._C, name))
        with suppress(RuntimeError):  # some versions of torch end it by themselves
            end(index, pool)
            torch._C._cuda_releasePool(index, pool)
        fresh = torch.Generator(self.device)
        torch.cuda.default_generators[index].graphsafe_set_state(fresh.graphsafe_get_state())
