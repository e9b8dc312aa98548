"""What GANs share whose codes can be read from examples."""

from typing import Any

from torch import Tensor

from ganrun import seeds
from ganrun.networks.codes import LatentCodes
from ganrun.networks.eval_mode import eval_mode


class Recognition:
    """Adds recognize, and pictures of the codes, to a GAN with `codes` whose discriminator returns (scores, Q)."""

    codes: LatentCodes
    discriminator: Any
    noise: Any
    decode: Any

    def recognize(self, x: Tensor) -> dict[str, Tensor]:
        """Return the parameters of Q of each code for examples x [n, ...]: logits, or the mean of a number."""
        with eval_mode(self.discriminator) as net:
            return self.codes.split(net(x)[1])

    def pictures(self, data: Any) -> dict[str, tuple[Tensor, int]]:
        """Return the model's pictures, and rows of images that differ in one code alone, under the code's name."""
        shown = super().pictures(data)  # pyright: ignore[reportAttributeAccessIssue]
        for name, code in self.codes.items() if data.kind != "points" else ():
            z, values = self.noise(5, seeds.generator(0)), code.shown_values()
            shown[name] = (self.decode(self.codes.vary(name, values, z)), len(values))
        return shown
