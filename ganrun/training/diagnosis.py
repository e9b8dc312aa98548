"""How a training went, in words: what its scores and its discriminator tell."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median

# A trend of the last half of the scores is one that chance brings less often than this. Ten scores, ganrun's usual,
# leave five: at most one pair of the ten may then be out of order.
SIGNIFICANT = 0.05
LIKELY = 0.2  # a trend that chance brings less often than this, and more often than the above, leaves it open
MIN_SCORES = 4  # scores that can show a trend: 1 / 4! < SIGNIFICANT < 1 / 3!
MAX_EXACT = 30  # scores from which on the normal law stands for the exact one: the p-values agree to .002
MIN_CHANGE = 0.05  # a trend's least change, as a share of the score: less is not worth a longer training
# Largest range of scores without a trend, as a share of their median: five scores with 10 % noise pass 6 times in 7.
MAX_SPREAD = 1 / 3
TIMES_WORSE = 2  # than the best: a training all of whose last third is so bad has lost what it had

LAST_READINGS = 0.1  # share of the readings that tell where the discriminator stands at the end
NEAR_CERTAIN = 0.95  # accuracy above which the discriminator is hardly ever fooled
NEAR_CHANCE = 0.05  # distance of the accuracy from .5, below which it does as well as chance
SMALL_SHARE = 0.05  # of the gradient norms of both players: one of them has nearly stopped to move


@dataclass(frozen=True)
class Diagnosis:
    """state: improving, converged, diverged, collapsed or unclear.  summary: a sentence that begins with it."""

    state: str
    summary: str


def diagnose(
    name: str,
    mode: str,
    scores: Sequence[tuple[float, float]],
    readings: Sequence[Mapping[str, float]] = (),
    collapsed: str | None = None,
    longer: str = "",
) -> Diagnosis:
    """The diagnosis of a training.

    name, mode: of the score that names the best checkpoint; "min" or "max".  scores: (kimg, value) in order, one at
    least.  readings: of the players' curves, {"train/<player>/<term>": value}, in order.  collapsed: why the last
    samples are to be called collapsed.  longer: the command that trains on.
    """
    curve = ScoreCurve(name, mode, scores)
    state, summary = (
        classify_collapse(curve, collapsed, longer)
        if collapsed and not curve.is_lost
        else classify_trend(curve, longer)
    )
    return Diagnosis(state, "; ".join([summary, *discriminator_remarks(readings)]))


# ---- what the scores tell --------------------------------------------------------------------------------------------
class ScoreCurve:
    """The scores of a training that are numbers, and their last half, which has FEWEST or more where there are."""

    def __init__(self, name: str, mode: str, scores: Sequence[tuple[float, float]]):
        self.name, self.sign = name, -1 if mode == "max" else 1
        self.points = [(kimg, value) for kimg, value in scores if math.isfinite(value)]
        self.is_lost = not math.isfinite(scores[-1][1])
        self.window = self.points[-max(MIN_SCORES, math.ceil(len(self.points) / 2)) :]
        self.values = [value for _, value in self.window]
        self.best = min(self.points, key=lambda point: self.sign * point[1], default=None)

    @property
    def ends(self) -> tuple[float, float]:
        """Medians of the first and the last fifth of the last half: the first and the last of fewer than ten."""
        n = max(1, len(self.values) // 5)
        return median(self.values[:n]), median(self.values[-n:])

    @property
    def is_better(self) -> bool:
        """Whether the last half has a trend to the better, of a size that matters."""
        return self._has_trend(-self.sign)

    @property
    def is_worse(self) -> bool:
        """Whether the last half has a trend to the worse, or the training is far from a best that it had reached."""
        return self._has_trend(self.sign) or (self.is_far and self.best != self.points[0])

    @property
    def is_far(self) -> bool:
        """Whether the whole last third is far from the best."""
        limit = self.sign * self.best[1] * TIMES_WORSE**self.sign
        last = self.points[-math.ceil(len(self.points) / 3) :]
        return self.best[1] > 0 and all(self.sign * value > limit for _, value in last)

    @property
    def is_moving(self) -> bool:
        """Whether the last half may have a trend in either direction, of a size that matters."""
        return self._has_trend(1, LIKELY) or self._has_trend(-1, LIKELY)

    @property
    def is_steady(self) -> bool:
        """Whether the last half stays in a narrow band."""
        return max(self.values) - min(self.values) <= MAX_SPREAD * abs(median(self.values))

    def _has_trend(self, direction: int, level: float = SIGNIFICANT) -> bool:
        (first, last), values = self.ends, [direction * value for value in self.values]
        return direction * (last - first) >= MIN_CHANGE * abs(first) and p_rising(values) < level


def classify_trend(curve: ScoreCurve, longer: str) -> tuple[str, str]:
    """The state that the scores show, and its summary."""
    if curve.is_lost:
        return "diverged", f"diverged {describe_loss(curve)}"
    if len(curve.points) < MIN_SCORES:
        count = f"{len(curve.points)} scores are" if len(curve.points) > 1 else "one score is"
        return "unclear", f"unclear: {count} too few to tell"
    if curve.is_better:
        return "improving", f"improving: {describe_gain(curve, longer)}"
    if curve.is_worse:
        return "diverged", f"diverged {describe_loss(curve)}"
    return classify_plateau(curve)


def classify_plateau(curve: ScoreCurve) -> tuple[str, str]:
    """The state of scores that show no trend, and its summary."""
    since = f"since {format_kimg(curve.window[0][0])} kimg"
    if curve.is_far:
        (kimg, first), end = curve.best, curve.ends[1]
        return (
            "unclear",
            f"unclear: {curve.name} began with {first:.4g} at {format_kimg(kimg)} kimg and is at {end:.4g}",
        )
    if curve.is_moving:
        return "unclear", f"unclear: {curve.name} {describe_change(*curve.ends)} {since}, too unsteadily to be sure"
    if not curve.is_steady:
        low, high = min(curve.values), max(curve.values)
        return "unclear", f"unclear: {curve.name} swings between {low:.4g} and {high:.4g} {since}, without a trend"
    return "converged", f"converged: no trend to speak of in {curve.name} {since} ({curve.best[1]:.4g} at best)"


def classify_collapse(curve: ScoreCurve, reason: str, longer: str) -> tuple[str, str]:
    """The summary for collapsed samples, and what the scores add."""
    if len(curve.points) >= MIN_SCORES and curve.is_better:
        return "collapsed", f"collapsed: {reason}; but {describe_gain(curve, longer)}"
    if len(curve.points) >= MIN_SCORES and curve.is_worse:
        return "collapsed", f"collapsed {describe_loss(curve, reason)}"
    return "collapsed", f"collapsed: {reason}"


def describe_gain(curve: ScoreCurve, longer: str) -> str:
    """How the score got better."""
    first, last = curve.ends
    span = format_kimg(curve.window[-1][0] - curve.window[0][0])
    advice = f"; train on: {longer}" if longer else ""
    return f"{curve.name} {describe_change(first, last)} over the last {span} kimg{advice}"


def describe_loss(curve: ScoreCurve, reason: str = "") -> str:
    """Since when and how the score got worse."""
    if not curve.points:
        return f"from the start: {curve.name} was never a number"
    kimg, best = curve.best
    way = "is no number at the end" if curve.is_lost else describe_change(best, curve.ends[1])
    kept = f"the best checkpoint, of {format_kimg(kimg)} kimg, is kept"
    return f"after {format_kimg(kimg)} kimg: {reason}{'; ' if reason else ''}{curve.name} {way}; {kept}"


def describe_change(first: float, last: float) -> str:
    return f"{'fell' if last < first else 'rose'} from {first:.4g} to {last:.4g}"


def format_kimg(kimg: float) -> str:
    """499.968 -> "500", 0.016 -> "0.016"."""
    return f"{kimg:.0f}" if kimg >= 100 else f"{kimg:.3g}"


def p_rising(values: Sequence[float]) -> float:
    """Probability that values in random order rise as clearly as these do: the one-sided test of Mann 1945.

    Kendall's S, pairs in rising less pairs in falling order, against its law over all orders of these values: exact,
    with ties, and beyond MANY values by the normal law with Kendall's variance.
    """
    n, ties = len(values), Counter(values).values()
    s = sum((b > a) - (b < a) for i, b in enumerate(values) for a in values[:i])
    if n > MAX_EXACT:
        variance = (n * (n - 1) * (2 * n + 5) - sum(m * (m - 1) * (2 * m + 5) for m in ties)) / 18
        return NormalDist(sigma=math.sqrt(max(1.0, variance))).cdf(1 - s)
    counts = count_orders(ties)
    return sum(counts[: (len(counts) - 1 - s) // 2 + 1]) / sum(counts)


def count_orders(ties: Sequence[int]) -> list[int]:
    """How many orders of values that occur so often have 0, 1, 2 ... pairs in falling order.

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


# ---- what the discriminator tells ------------------------------------------------------------------------------------
def discriminator_remarks(readings: Sequence[Mapping[str, float]]) -> list[str]:
    """What each discriminator's accuracy over the last readings says, where it is near 1 or .5."""
    last = readings[-math.ceil(LAST_READINGS * len(readings)) :] if readings else []
    means = {name: fmean(reading.get(name, math.nan) for reading in last) for name in (last[-1] if last else ())}
    return [remark for name in means if (remark := accuracy_remark(name, means))]


def accuracy_remark(name: str, means: Mapping[str, float]) -> str:
    """The remark on the accuracy of that name; "" for another curve, and for an accuracy that says nothing."""
    _, player, term = name.split("/")
    kind, _, side = term.partition("_")
    whose = f"the discriminator of {side}" if side else "the discriminator"
    pairs = f"in {100 * means[name]:.0f} % of pairs" if means[name] == means[name] else ""
    if kind == "accuracy" and means[name] >= NEAR_CERTAIN:
        return f"{whose} tells real from fake {pairs}{gradient_remark(player, means)}"
    if kind == "accuracy" and abs(means[name] - 0.5) <= NEAR_CHANCE:
        reasons = "either the samples are as good as real to it, or it has stopped learning"
        return f"{whose} tells real from fake {pairs}, as by chance: {reasons}"
    return ""


def gradient_remark(player: str, means: Mapping[str, float]) -> str:
    """What its share of all players' gradient norms adds, where it is near 0 or 1."""
    norms = {name.split("/")[1]: value for name, value in means.items() if name.endswith("/gradient")}
    if len(norms) < 2:
        return ""
    if not any(norms.values()):
        return ", and no player has a gradient any more"
    share = norms[player] / sum(norms.values())
    if share < SMALL_SHARE:
        return f" and has {100 * share:.0f} % of the gradient norm: it has little left to learn"
    if share > 1 - SMALL_SHARE:
        return f" and has {100 * share:.0f} % of the gradient norm: the generator is hardly moved"
    return ""
