"""What models share that find codes of examples, and examples again from codes."""

from typing import Any

import torch
from torch import Tensor

from ganrun.networks.eval_mode import eval_mode


class Decoding:
    """Adds decode to a model with a network that maps codes to examples, whose name is `decoder_name`."""

    decoder_name = "decoder"
    net: Any
    draw: Any
    noise: Any

    def decode(self, z: Tensor, *conditions: Tensor) -> Tensor:
        """Return the examples of codes z [n, z_dim], and of classes y [n] for a conditional model: [n, ...]."""
        with eval_mode(self.net(self.decoder_name)) as net:
            return net(z, *conditions)


class Codes(Decoding):
    """Adds encode, decode and reconstruct to a model with an encoder, whose name is `encoder_name`, and a decoder.

    The encoder maps x to codes [B, z_dim], or to (mean, log variance) of their distributions.
    """

    encoder_name = "encoder"

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of examples x [n, ...], or the means of their distributions: [n, z_dim]."""
        with eval_mode(self.net(self.encoder_name)) as net:
            code = net(x)
        return code[0] if isinstance(code, tuple) else code

    def draw_code(self, code: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Return what the encoder returned as codes [B, z_dim]: as it is, or drawn from N(mean, variance)."""
        if not isinstance(code, tuple):
            return code
        mean, log_variance = code
        return mean + (log_variance / 2).exp() * self.draw(self.noise, len(mean))

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def reconstruction_pictures(model, data, columns: int = 8, rows: int = 4) -> dict[str, tuple[Tensor, int]]:
    """Return rows of test images, each above the row of their reconstructions, for `pictures`; nothing for points."""
    if data.kind == "points":
        return {}
    x = data.test("x", columns * rows).to(model.device).float()
    pairs = torch.stack([x, model.reconstruct(x).float()]).unflatten(1, (rows, columns))
    return {"reconstructions": (pairs.transpose(0, 1).flatten(0, 2), columns)}
