"""Numbers of a module that stay exact whatever the precision of its weights."""

from torch import nn


class ExactBuffers(nn.Module):
    """Keeps the module's own buffers in float32 where it becomes 16 bits.

    There, sums stop to grow and small steps are lost: in bfloat16, 256 + 1 is 256.
    """

    def _apply(self, fn, recurse=True):
        before = {name: b for name, b in self.named_buffers(recurse=False) if b.is_floating_point()}
        super()._apply(fn, recurse)
        for name, exact in before.items():
            converted = self.get_buffer(name)
            if converted.itemsize < exact.itemsize:
                setattr(self, name, exact.to(converted.device))
        return self
