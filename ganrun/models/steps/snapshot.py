"""A copy of a model's state that can be restored."""

from collections.abc import Iterable

from torch import Tensor, nn


class Snapshot:
    """Copies of tensors and of modules' extra states."""

    def __init__(self, tensors: Iterable[Tensor], modules: Iterable[nn.Module]):
        self.tensors = [(tensor, tensor.detach().clone()) for tensor in tensors]
        default = nn.Module.get_extra_state  # raises an error
        stateful = [module for module in modules if type(module).get_extra_state is not default]
        self.extra_states = [(module, module.get_extra_state()) for module in stateful]

    def restore(self) -> None:
        """Copy everything back in place."""
        for tensor, before in self.tensors:
            tensor.detach().copy_(before)
        for module, state in self.extra_states:
            module.set_extra_state(state)
