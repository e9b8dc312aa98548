"""Translated images compared with what is known of the right ones: their counterparts, or the digits they show."""

import math

import torch
from torch import Tensor
from torchmetrics.aggregation import MeanMetric

from ganrun.metrics.scores import Score

L1 = Score("l1", better="lower", note="to the true counterpart")
L1_UNTRANSLATED = Score("l1_untranslated", better="", note="of the source to the true counterpart")
DIGIT_ACCURACY = Score("accuracy", better="higher", note="share that still shows the source's digit")


class GroundTruth:
    """L1 distances to the counterparts of paired data, and the share of translations that keep their digit."""

    def __init__(self, data, target: str, is_classified: bool, device: torch.device):
        """is_classified: whether the extractor's classes are the digits that the data show."""
        self.data, self.target, self.is_classified = data, target, is_classified
        # NaNs of a diverged model stay in the mean; torchmetrics' default leaves them out.
        self.error, self.untranslated, self.hits = (MeanMetric(math.nan).to(device) for _ in range(3))

    def update(self, index: Tensor, x: Tensor, translated: Tensor, logits: Tensor) -> None:
        """index: of the images x in the test split, int64 [B].   x, translated: [B, C, H, W].   logits: [B, K]."""
        if self.data.is_paired:
            truth = self.data.test(self.target, index).to(x.device)
            self.error.update((translated - truth).abs())
            self.untranslated.update((x - truth).abs())
        if self.is_classified:
            self.hits.update((logits.argmax(1).cpu() == self.data.test("y", index)).float())

    def compute(self) -> dict[str, float]:
        """The numbers by name, without those that the data do not allow."""
        values = {}
        if self.data.is_paired:
            values |= {"l1": self.error.compute().item(), "l1_untranslated": self.untranslated.compute().item()}
        if self.is_classified:
            values["accuracy"] = self.hits.compute().item()
        return values
