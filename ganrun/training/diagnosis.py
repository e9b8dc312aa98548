"""Diagnoses how a training went, from its scores and the accuracy of its discriminator."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median

import numpy as np

# p-value below which the last half of the scores has a trend. Of ten scores (the default) that half has five, in ten
# pairs: at most one pair may be out of order.
SIGNIFICANT = 0.05
LIKELY = 0.2  # p-value below which a trend is possible
MIN_SCORES = 4  # fewest scores that can show a trend: 1 / 4! < SIGNIFICANT < 1 / 3!
MAX_EXACT = 30  # most scores for the exact test; the normal approximation then agrees to .002
MIN_CHANGE = 0.05  # least change of a trend, relative to the score: less is not worth a longer training
# Largest range of scores without a trend, relative to their median: five scores with 10 % noise pass 6 times in 7
MAX_SPREAD = 1 / 3
MIN_BATCHES = 200  # fewer say nothing yet
LEAST_GAIN = 1.5  # times better than an untrained model: less is no sign that the training works
TIMES_WORSE = 2  # than the best: if the whole last third is that bad, the training has diverged

LAST_READINGS = 0.1  # share of the readings that count as the end of the training
NEAR_CERTAIN = 0.95  # accuracy above which the discriminator is hardly ever fooled
NEAR_CHANCE = 0.05  # distance from an accuracy of .5 that is as good as chance
SMALL_SHARE = 0.05  # of the gradient norms of both players: that player hardly learns any more


@dataclass(frozen=True)
class Diagnosis:
    """What one can say of a training.

    state: improving, converged, stuck, diverged, collapsed or unclear.  summary: a sentence that starts with it.
    remark: what the curves say of the discriminator; "" for nothing.  command: trains longer, where that may help.
    """

    state: str
    summary: str
    remark: str = ""
    command: str = ""


@dataclass(frozen=True)
class Evidence:
    """What a diagnosis is made of, beside the scores.

    batches: the training had so many.  readings: of the loss curves, {"train/<player>/<term>": value}, in order.
    collapsed: why the last samples count as collapsed.  untrained: the score of the model before its training.
    command: trains longer.
    """

    batches: float = math.inf
    readings: Sequence[Mapping[str, float]] = ()
    collapsed: str | None = None
    untrained: float | None = None
    command: str = ""


def diagnose(name: str | None, mode: str, scores: Sequence[tuple[float, float]], evidence: Evidence) -> Diagnosis:
    """Return the diagnosis of a training.

    name, mode: of the score that selects the best checkpoint; "min" or "max".  scores: (kimg, value), in order.
    """
    curve = ScoreCurve(str(name), mode, scores) if scores else None
    if curve and curve.is_lost:
        summary = f"diverged {describe_loss(curve)}"
    elif evidence.batches < MIN_BATCHES:
        summary = f"unclear: {evidence.batches:.0f} batches are too little training to say; {MIN_BATCHES} may be enough"
    elif not curve:
        summary = "unclear: no score was measured"
    elif evidence.collapsed:
        summary = summarize_collapse(curve, evidence.collapsed)
    else:
        summary = summarize_trend(curve, evidence.untrained)
    state = summary.split()[0].removesuffix(":")
    can_gain = evidence.batches < MIN_BATCHES or bool(curve and len(curve.points) >= MIN_SCORES and curve.is_better)
    command = evidence.command if can_gain and state != "diverged" else ""
    return Diagnosis(state, summary, describe_players(evidence.readings), command)


def describe_players(readings: Sequence[Mapping[str, float]]) -> str:
    """Return what the last readings of the curves say of each discriminator."""
    last = readings[-math.ceil(LAST_READINGS * len(readings)) :] if readings else []
    names = dict.fromkeys(name for reading in last for name in reading)  # a player without a turn has none
    means = {name: fmean(reading[name] for reading in last if name in reading) for name in names}
    return "; ".join(remark for name in means if (remark := accuracy_remark(name, means)))


class ScoreCurve:
    """The finite scores of a training. window: the last half, but at least MIN_SCORES of them if there are so many."""

    def __init__(self, name: str, mode: str, scores: Sequence[tuple[float, float]]):
        self.name, self.sign = name, -1 if mode == "max" else 1
        self.points = [(kimg, value) for kimg, value in scores if math.isfinite(value)]
        self.is_lost = not math.isfinite(scores[-1][1])
        self.window = self.points[-max(MIN_SCORES, math.ceil(len(self.points) / 2)) :]
        self.values = [value for _, value in self.window]

    @property
    def best(self) -> tuple[float, float]:
        return min(self.points, key=lambda point: self.sign * point[1])

    @property
    def ends(self) -> tuple[float, float]:
        """Medians of the first and the last fifth of the window; with fewer than ten scores, its first and last."""
        n = max(1, len(self.values) // 5)
        return median(self.values[:n]), median(self.values[-n:])

    @property
    def is_better(self) -> bool:
        """Whether the scores of the window get better by an amount that matters."""
        return self.has_trend(-self.sign)

    @property
    def is_worse(self) -> bool:
        """Whether the scores of the window get worse, or are far from the best, which is not the first one."""
        return self.has_trend(self.sign) or (self.is_far and self.best != self.points[0])

    @property
    def is_far(self) -> bool:
        """Whether the whole last third of the scores is far from the best."""
        limit = self.sign * self.best[1] * TIMES_WORSE**self.sign
        last = self.points[-math.ceil(len(self.points) / 3) :]
        return self.best[1] > 0 and all(self.sign * value > limit for _, value in last)

    def has_gained(self, untrained: float) -> bool:
        """Return whether the best score is clearly better than that of the model before its training."""
        worse, better = (untrained, self.best[1]) if self.sign > 0 else (self.best[1], untrained)
        return worse > LEAST_GAIN * better or worse == better == 0 < self.sign

    def has_trend(self, direction: int, level: float = SIGNIFICANT) -> bool:
        """Return whether the scores of the window rise (direction 1) or fall (-1), with a p-value below the level."""
        (first, last), values = self.ends, [direction * value for value in self.values]
        return direction * (last - first) >= MIN_CHANGE * abs(first) and p_rising(values) < level


def summarize_trend(curve: ScoreCurve, untrained: float | None) -> str:
    """Say what the scores show; the text starts with a state, such as `improving`."""
    if len(curve.points) < MIN_SCORES:
        count = f"{len(curve.points)} scores are" if len(curve.points) > 1 else "one score is"
        return f"unclear: {count} too few to tell"
    if curve.is_better:
        return f"improving: {describe_gain(curve)}"
    if curve.is_worse:
        return f"diverged {describe_loss(curve)}"
    summary = summarize_plateau(curve)
    if untrained is not None and summary.startswith("converged") and not curve.has_gained(untrained):
        shown = f"{curve.name} is {curve.ends[1]:.4g} at the end, and {untrained:.4g} without any training"
        return f"stuck: {shown}"
    return summary


def summarize_plateau(curve: ScoreCurve) -> str:
    """Say what scores without a clear trend show; the text starts with a state, such as `unclear`."""
    since = f"since {format_kimg(curve.window[0][0])} kimg"
    if curve.is_far:
        (kimg, first), end = curve.best, curve.ends[1]
        return f"unclear: {curve.name} started at {first:.4g} at {format_kimg(kimg)} kimg and is now {end:.4g}"
    if curve.has_trend(1, LIKELY) or curve.has_trend(-1, LIKELY):
        return f"unclear: {curve.name} {describe_change(*curve.ends)} {since}, but too unsteadily to be sure"
    low, high = min(curve.values), max(curve.values)
    if high - low > MAX_SPREAD * abs(median(curve.values)):
        return f"unclear: {curve.name} varies between {low:.4g} and {high:.4g} {since}, without a trend"
    return f"converged: {curve.name} shows no trend {since} (best {curve.best[1]:.4g})"


def summarize_collapse(curve: ScoreCurve, reason: str) -> str:
    """Say why the last samples count as collapsed, and the trend of the scores; starts with the state.

    Most trainings begin with samples that do: where the scores get better, the training is called improving.
    """
    if len(curve.points) >= MIN_SCORES and curve.is_better:
        return f"improving: {describe_gain(curve)}; but the last samples are not diverse yet: {reason}"
    if len(curve.points) >= MIN_SCORES and curve.is_worse:
        return f"collapsed: {reason}; {describe_fall(curve)}"
    return f"collapsed: {reason}"


def describe_gain(curve: ScoreCurve) -> str:
    span = format_kimg(curve.window[-1][0] - curve.window[0][0])
    return f"{curve.name} {describe_change(*curve.ends)} over the last {span} kimg"


def describe_loss(curve: ScoreCurve) -> str:
    if not curve.points:
        return f"from the start: {curve.name} was always NaN or Inf"
    return f"after {format_kimg(curve.best[0])} kimg: {describe_fall(curve)}"


def describe_fall(curve: ScoreCurve) -> str:
    kimg, best = curve.best
    change = "is NaN or Inf at the end" if curve.is_lost else describe_change(best, curve.ends[1])
    return f"{curve.name} {change}; the best checkpoint, at {format_kimg(kimg)} kimg, is kept"


def describe_change(first: float, last: float) -> str:
    return f"{'fell' if last < first else 'rose'} from {first:.4g} to {last:.4g}"


def format_kimg(kimg: float) -> str:
    """Format thousands of images: 499.968 -> "500", 0.016 -> "0.016"."""
    return f"{kimg:.0f}" if kimg >= 100 else f"{kimg:.3g}"


def p_rising(values: Sequence[float]) -> float:
    """Return the p-value of a rising trend: the one-sided test of Mann 1945.

    It compares Kendall's S, rising minus falling pairs, with its distribution over all orders of these values: exact,
    with ties, and beyond MAX_EXACT values by the normal approximation with Kendall's variance.
    """
    n, ties = len(values), [*Counter(values).values()]
    s = rising_minus_falling(values)
    if n > MAX_EXACT:
        variance = (n * (n - 1) * (2 * n + 5) - sum(m * (m - 1) * (2 * m + 5) for m in ties)) / 18
        return NormalDist(sigma=math.sqrt(max(1.0, variance))).cdf(1 - s)
    counts = count_orders(ties)
    return sum(counts[: (len(counts) - 1 - s) // 2 + 1]) / sum(counts)


def rising_minus_falling(values: Sequence[float]) -> int:
    """Return Kendall's S: of how many pairs the later value is larger, minus of how many it is smaller.

    In n log(n) steps. Two ranks compare by the highest bit in which they differ. Among the m values whose ranks agree
    above a bit, the one at position p has p values before it and m - 1 - p after it: if its bit is 1, all those with a
    0 before it rise to it, and those after it fall from it; pairs of two 1s cancel out.
    """
    ranks, s = np.unique(np.asarray(values, dtype=float), return_inverse=True)[1], 0
    for bit in reversed(range(int(ranks.max()).bit_length())):
        ranks = ranks[np.argsort(ranks >> (bit + 1), kind="stable")]  # keeps the order of time in each group
        counts = np.bincount(ranks >> (bit + 1))
        counts = counts[counts > 0]
        size, start = np.repeat(counts, counts), np.repeat(np.cumsum(counts) - counts, counts)
        s += int((((ranks >> bit) & 1) * (2 * (np.arange(len(ranks)) - start) - size + 1)).sum())
    return s


def count_orders(ties: Sequence[int]) -> list[int]:
    """Return how many orders of values that occur `ties` times each have 0, 1, 2 ... falling pairs.

    Coefficients of the Gaussian multinomial, prod_k (1 - q^k) / prod_m prod_j^m (1 - q^j): MacMahon 1916.
    """
    counts, n = [1], 0
    for m in ties:
        for j in range(1, m + 1):
            n += 1
            product = [a - b for a, b in zip(counts + [0] * n, [0] * n + counts, strict=True)]
            for k in range(j, len(product)):
                product[k] += product[k - j]
            counts = product[: len(product) - j]
    return counts


def accuracy_remark(name: str, means: Mapping[str, float]) -> str:
    """Return the remark on a discriminator's accuracy at the end, if it is near 1 or .5; "" for other curves."""
    _, player, term = name.split("/")
    kind, _, side = term.partition("_")
    whose = f"the discriminator of {side}" if side else "the discriminator"
    pairs = f"in {100 * means[name]:.0f} % of pairs" if means[name] == means[name] else ""
    if kind == "accuracy" and means[name] >= NEAR_CERTAIN:
        return f"{whose} tells real from fake {pairs}{gradient_remark(player, means)}"
    if kind == "accuracy" and abs(means[name] - 0.5) <= NEAR_CHANCE:
        reasons = "either the samples look real to it, or it has stopped learning"
        return f"{whose} tells real from fake {pairs}, which is chance: {reasons}"
    return ""


def gradient_remark(player: str, means: Mapping[str, float]) -> str:
    """Return a remark on the discriminator's share of all gradient norms, if it is near 0 or 1."""
    norms = {name.split("/")[1]: value for name, value in means.items() if name.endswith("/gradient")}
    if len(norms) < 2:
        return ""
    if not any(norms.values()):
        return ", and all gradients are zero"
    share = norms[player] / sum(norms.values())
    if share < SMALL_SHARE:
        return f" and has {100 * share:.0f} % of the gradient norm: it has little left to learn"
    if share > 1 - SMALL_SHARE:
        return f" and has {100 * share:.0f} % of the gradient norm: the generator hardly learns"
    return ""
