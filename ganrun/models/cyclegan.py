"""Translation between two sets of unpaired images."""

from torch import Tensor, nn, stack, zeros_like
from torch.nn.functional import l1_loss

from ganrun.models.base import Adversarial, Batch, Player
from ganrun.models.image_pool import ImagePool
from ganrun.models.losses import least_squares
from ganrun.networks.eval_mode import eval_mode, forward_batches


class CycleGAN(Adversarial):
    """Zhu et al. 2017, eq. 3 with least squares (section 4), and the identity loss of section 5.2.

    a_to_b, b_to_a: images -> images (the paper's G and F).  d_a, d_b: images -> patch scores (D_X and D_Y).
    cycle: lambda.  identity: weight of the identity loss, in units of lambda.  pool: fakes kept for each of d_a, d_b.
    """

    needs, averages = ("a", "b"), ("a_to_b", "b_to_a")

    def __init__(self, a_to_b, b_to_a, d_a, d_b, cycle: float, identity: float, pool: int, **base):
        super().__init__(**base)
        self.a_to_b, self.b_to_a, self.d_a, self.d_b = a_to_b, b_to_a, d_a, d_b
        self.cycle, self.identity, self.pools = cycle, identity, nn.ModuleDict({s: ImagePool(pool) for s in "ab"})

    def players(self) -> list[Player]:  # generators first: the discriminators then score this batch's fakes
        generators = Player("generators", [self.a_to_b, self.b_to_a], self.generators_loss)
        return [generators, Player("discriminators", [self.d_a, self.d_b], self.discriminators_loss)]

    def generators_loss(self, batch: Batch):
        a, b = batch["a"], batch["b"]
        with_a, with_b = ([a], [b]) if self.identity else ([], [])  # b_to_a should leave a as it is, and a_to_b b
        fake_a, *same_a = forward_batches(self.b_to_a, b, *with_a)
        fake_b, *same_b = forward_batches(self.a_to_b, a, *with_b)
        self.kept["fakes"] = {"a": fake_a.detach(), "b": fake_b.detach()}
        adversarial = least_squares(self.d_a(fake_a), 1) + least_squares(self.d_b(fake_b), 1)
        cycle = l1_loss(self.b_to_a(fake_b), a) + l1_loss(self.a_to_b(fake_a), b)
        identity = l1_loss(same_a[0], a) + l1_loss(same_b[0], b) if self.identity else zeros_like(cycle)
        loss = adversarial + self.cycle * (cycle + self.identity * identity)
        return {"loss": loss, "adversarial": adversarial, "cycle": cycle, "identity": identity}

    def discriminators_loss(self, batch: Batch):
        terms = {}
        for side, d in (("a", self.d_a), ("b", self.d_b)):
            real, fake = forward_batches(d, batch[side], self.pools[side](self.kept["fakes"][side], self.draw))
            terms[f"loss_{side}"] = 0.5 * (least_squares(real, 1) + least_squares(fake, 0))  # halved: section 7.1
            terms |= {f"real_{side}": real, f"fake_{side}": fake}
        return {"loss": terms["loss_a"] + terms["loss_b"], **terms}

    def translate(self, x: Tensor, to: str) -> Tensor:
        """Translate images [B, C, H, W] in [-1, 1] of the other domain to domain `to`, "a" or "b"."""
        with eval_mode(self.net("a_to_b" if to == "b" else "b_to_a")) as net:
            return net(x.to(self.some_weight))

    def pictures(self, data):
        return {f"{a}_to_{b}": (self._there_and_back(data.test(a, 8), a, b), 3) for a, b in ("ab", "ba")}

    def _there_and_back(self, x: Tensor, side: str, other: str) -> Tensor:
        there = self.translate(x, other)
        return stack([x.to(there), there, self.translate(there, side)], 1).flatten(0, 1)
