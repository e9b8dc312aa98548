"""What a model holds, kept for a while."""

from collections.abc import Iterable

from torch import Tensor, nn


class Snapshot:
    """Copies of tensors, and of what modules keep beside parameters and buffers, to be put back where they stood."""

    def __init__(self, tensors: Iterable[Tensor], modules: Iterable[nn.Module]):
        self.tensors = [(tensor, tensor.detach().clone()) for tensor in tensors]
        self.extras = [(module, module.get_extra_state()) for module in modules if has_extra_state(module)]

    def restore(self) -> None:
        """Makes all as it was, in the same memory."""
        for tensor, before in self.tensors:
            tensor.detach().copy_(before)
        for module, state in self.extras:
            module.set_extra_state(state)


def has_extra_state(module: nn.Module) -> bool:
    """Whether the module keeps more than parameters and buffers."""
    return type(module).get_extra_state is not nn.Module.get_extra_state
