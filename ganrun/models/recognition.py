"""What GANs share whose codes can be read from examples."""

from typing import Any

from torch import Tensor

from ganrun import seeds
from ganrun.networks.codes import LatentCodes
from ganrun.networks.eval_mode import eval_mode


class Recognition:
    """Adds recognize to a GAN with `codes` whose discriminator returns (scores, Q)."""

    codes: LatentCodes
    discriminator: Any

    def recognize(self, x: Tensor) -> dict[str, Tensor]:
        """Return the parameters of Q of each code for examples x [n, ...]: logits, or the mean of a number."""
        with eval_mode(self.discriminator) as net:
            return self.codes.split(net(x)[1])


def code_pictures(model, data) -> dict[str, tuple[Tensor, int]]:
    """Return for each code rows of examples that differ in it alone, for `pictures`; nothing for points."""
    if data.kind == "points":
        return {}
    z, pictures = model.noise(5, seeds.generator(0)), {}
    for name, code in model.codes.items():
        values = code.shown_values()
        pictures[name] = (model.decode(model.codes.vary(name, values, z)), len(values))
    return pictures
