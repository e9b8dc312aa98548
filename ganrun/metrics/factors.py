"""The suite for models with codes, on data whose examples were made of known factors."""

import logging
import math
from importlib.util import find_spec

import torch
from torch import Tensor

from ganrun.errors import UserError
from ganrun.metrics.base import CPU, Suite, has_ability
from ganrun.metrics.codes import code_scores, score_codes
from ganrun.metrics.reconstruction import reconstruction_scores, score_reconstructions
from ganrun.metrics.sampling import isolated_rng, scoring_seed
from ganrun.metrics.scores import Score, ScoreNote
from ganrun.metrics.scores.codes import OF_IMAGES, OF_SAMPLES
from ganrun.metrics.scores.dci import DCI, dci_scores
from ganrun.metrics.scores.factor_vae import FACTOR_VAE, factor_vae_score
from ganrun.metrics.scores.mig import MIG, mutual_information_gap
from ganrun.metrics.scores.reconstruction import OF_RECONSTRUCTIONS
from ganrun.seeds import generator

log = logging.getLogger(__name__)


class Factors(Suite):
    """Disentanglement: the codes of real examples compared with their factors. Reconstructions and codes, too."""

    scores = (FACTOR_VAE, MIG, DCI, *OF_RECONSTRUCTIONS, *OF_SAMPLES, *OF_IMAGES)

    def __init__(self, *arguments, fitted: int, **options):
        """fitted: number of examples that DCI fits trees to, at most half of all (0: no DCI)."""
        super().__init__(*arguments, **options)
        self.fitted = fitted
        self.has_dci = fitted > 0 and find_spec("sklearn") is not None

    def explain_no_scores(self, model, data) -> str:
        if not has_factors(data):
            return "metrics=factors needs data with known factors, such as data=sprites with data.objects=1."
        if not (has_ability(model, "encode") or has_ability(model, "recognize")):
            return "metrics=factors needs a model that finds codes of examples, such as vae, bigan or infogan."
        return ""

    def prepare(self, data, device: torch.device = CPU) -> None:
        if not has_factors(data):
            raise UserError(self.explain_no_scores(None, data))
        if self.fitted and not self.has_dci:
            log.info("DCI is left out, as it needs scikit-learn. To install it: pip install 'ganrun[baselines]'")

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """Score the codes, and the reconstructions if the model has them. Each process computes all of it."""
        if reason := self.explain_no_scores(model, data):
            raise UserError(reason)
        samples, values = samples or self.samples, {}
        with isolated_rng(scoring_seed(seed)):
            values |= self.score_factors(model, data, samples, seed, is_final)
            if has_ability(model, "reconstruct"):
                values |= score_reconstructions(model, data, None, samples, self.batch_size)
            if has_ability(model, "recognize"):
                values |= score_codes(model, data, samples, self.batch_size, seed)
        return self.full_names(values)

    def score_factors(self, model, data, samples: int, seed: int, is_final: bool) -> dict[str, float]:
        """Return {number: value}; DCI at the end alone, as it takes long. All are NaN if a code is not finite."""
        codes, factors = self.codes_and_factors(model, data, samples, seed)
        if not codes.isfinite().all():
            return dict.fromkeys((number for score in self._compared(is_final) for number in score.numbers), math.nan)
        values = {FACTOR_VAE.name: factor_vae_score(codes, factors, generator(seed, 1))}
        values[MIG.name] = mutual_information_gap(codes, factors)
        if DCI in self._compared(is_final):
            values |= dci_scores(codes, factors, self.count_fitted(len(codes)), seed)
        return values

    def codes_and_factors(self, model, data, samples: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return codes, float64 [n, d], and factors, int64 [n, k], of real examples in random order."""
        to_batch = data.keys["x"].to_batch
        parts = (each for part in data.reference("x", samples) for each in part.split(self.batch_size))
        codes = torch.cat([read_codes(model, to_batch(part).to(model.device)).double().cpu() for part in parts])
        values = data.source.factor_values(torch.cat([*data.reference("factors", samples)]))
        order = torch.randperm(len(codes), generator=generator(seed))
        return codes[order], torch.stack([*values.values()], dim=1)[order]

    def count_fitted(self, samples: int) -> int:
        return min(self.fitted, samples // 2)

    def _compared(self, is_final: bool) -> list[Score]:
        """The scores that compare codes with factors."""
        return [FACTOR_VAE, MIG, *([DCI] if is_final and self.has_dci else [])]

    def names(self, model, data) -> list[str]:
        selected = self._compared(is_final=True)
        selected += reconstruction_scores(data, None) if has_ability(model, "reconstruct") else []
        selected += code_scores(model, data) if has_ability(model, "recognize") else []
        return [self.full_name(number) for score in selected for number in score.numbers]

    def score_notes(self, data, samples: int | None = None) -> dict[str, ScoreNote]:
        notes = super().score_notes(data, samples)
        count = min(samples or self.samples, data.test_count("x"))  # of test images
        names = [self.full_name(score.name) for score in (*OF_RECONSTRUCTIONS, *OF_IMAGES)]
        return notes | {name: notes[name]._replace(samples=count) for name in names}

    def protocol(self, data, samples: int | None = None) -> dict:
        count = min(samples or self.samples, data.reference_count("x"))
        protocol = {"samples": count, "reference_splits": list(data.reference_splits)}
        protocol |= {"factors": [*data.source.factor_values(data.keys["factors"].example(1, CPU))]}
        for score in self.scores:
            protocol |= score.settings(count)
        return protocol | {"dci_fitted": self.count_fitted(count)}


def has_factors(data) -> bool:
    """Return whether it is known which factors the examples differ in. This reads no file."""
    return "factors" in data.keys and bool(data.source.factor_values(data.keys["factors"].example(1, CPU)))


def read_codes(model, x: Tensor) -> Tensor:
    """Return the codes that the model finds in examples x [n, ...]: [n, d].

    They are the means of q(z | x), or of Q(c | x) for numbers, one column each; of a category, the most likely value.
    """
    if has_ability(model, "encode"):
        return model.encode(x).flatten(1)
    found = model.recognize(x)
    columns = [q if model.codes[name].size == 1 else q.argmax(1, keepdim=True).to(q) for name, q in found.items()]
    return torch.cat(columns, dim=1)
