"""What a GPU is asked to do, recorded as one graph."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch


class CudaGraphCapture:
    """Records what is asked of a CUDA device, as a graph."""

    def __init__(self, device: torch.device):
        self.device, self.side = device, torch.cuda.Stream(device)

    @contextmanager
    def side_stream(self) -> Iterator[None]:
        """What is done within runs on a stream of its own, as what is to be recorded has to beforehand."""
        current = torch.cuda.current_stream(self.device)
        self.side.wait_stream(current)
        with torch.cuda.stream(self.side):
            yield
        current.wait_stream(self.side)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does the work again, in the same memory. Nothing is done while it is recorded."""
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        try:
            # Other threads may go on meanwhile: one of them pins batches.
            with torch.cuda.graph(graph, pool=pool, stream=self.side, capture_error_mode="thread_local"):
                work()
        except BaseException:
            self._clear_up(pool)
            raise
        return graph.replay

    def _clear_up(self, pool) -> None:
        """A recording that breaks off leaves the allocator and the generator believing that it goes on."""
        index = self.device.index or 0
        end = getattr(torch._C, "_cuda_endAllocateToPool", None) or torch._C._cuda_endAllocateCurrentStreamToPool
        with suppress(RuntimeError):  # a torch that has ended it by itself
            end(index, pool)
            torch._C._cuda_releasePool(index, pool)
        fresh = torch.Generator(self.device)
        torch.cuda.default_generators[index].graphsafe_set_state(fresh.graphsafe_get_state())
