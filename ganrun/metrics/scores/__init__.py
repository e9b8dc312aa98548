"""The scores, one file each. A file declares its scores; suites, tables and rankings read the declarations.

To add a score, say the sliced Wasserstein distance `swd`, write `ganrun/metrics/scores/swd.py`:

    @score("swd", better="lower", needs=("features",), has_baseline=True, note="{swd_lines} random projections",
           settings=lambda samples: {"swd_lines": LINES})
    def swd(inputs: ScoreInputs) -> float:
        return sliced_distance(inputs.real.features, inputs.features, LINES, generator(3))

`Score` explains the arguments and `metrics.score_inputs.ScoreInputs` what a score may need. Random numbers come from a
generator of the score's own, so that no other score changes. Test it in `tests/metrics/scores/test_swd.py`: a closed
form, or a slow loop. Name it in `conf/metrics/base/generation.yaml` or in a command: `metrics.final=[kid,prdc,swd]`.

A score in a module of your own needs no change here: `metrics.final='[kid,{_target_: my_module.swd}]'`.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal, NamedTuple

from ganrun.errors import UserError, did_you_mean

Compute = Callable[[Any], float | tuple[float, ...]]
Direction = Literal["lower", "higher", ""]  # which values are better; "" for neither
NEEDS = (
    "moments",
    "features",
    "all_features",
    "logits",
    "batches",
    "labels",
    "images",
    "image_labels",
)  # fields of ScoreInputs
PREFIX = "val/"  # of the scores' names in TensorBoard, metrics.jsonl and scores.json
DECLARED: list["Score"] = []


class ScoreNote(NamedTuple):
    """How one number comes about, for the table of `ganrun eval`."""

    samples: int  # that it is computed from
    how: str  # the method, in a few words
    better: Direction


class Score:
    """The declaration of a score. Not a dataclass, which Hydra would turn into a config.

    name: its name in `metrics.scores`.
    better: the direction of a score of one number, which has the score's name; {number: direction} of several.
    note: how it is measured, for the table of `ganrun eval`: a format string over the suite's protocol.
    needs: the fields of ScoreInputs that it reads, of NEEDS. Unconditional models have no scores that need the
        labels of samples.
    extractors: names of the extractors on whose features it is defined (empty: any).
    has_baseline: whether real images are scored, too, one random half against the other. Not for "images".
    settings: maps the number of kept samples to protocol entries that this score alone depends on, `<name>_...`.
    compute: maps ScoreInputs to a float, or to a tuple in the order of `better`; None if the suite computes it.
    """

    def __init__(
        self,
        name: str,
        better: Direction | Mapping[str, Direction],
        note: str,
        needs: tuple[str, ...] = (),
        has_baseline: bool = False,
        extractors: tuple[str, ...] = (),
        settings: Callable[[int], dict] = lambda samples: {},
        compute: Compute | None = None,
    ):
        if unknown := {*needs} - {*NEEDS}:
            raise ValueError(f"The score {name} needs {', '.join(unknown)}; allowed: {', '.join(NEEDS)}")
        if has_baseline and "images" in needs:
            raise ValueError(f"The score {name} needs images, so its baseline cannot be measured: has_baseline=False")
        self.name, self.note, self.needs, self.has_baseline = name, note, needs, has_baseline
        self.numbers: Mapping[str, Direction] = better if isinstance(better, Mapping) else {name: better}
        self.extractors, self.settings, self.compute = extractors, settings, compute
        DECLARED.append(self)

    @property
    def is_of_pixels(self) -> bool:
        """Whether it reads the images themselves and nothing of the extractor, whose name it then does not have."""
        return bool(self.needs) and {"moments", "features", "all_features", "logits"}.isdisjoint(self.needs)

    @property
    def needs_classes(self) -> bool:
        """Whether it needs the classes that the samples were asked for."""
        return not {"labels", "image_labels"}.isdisjoint(self.needs)

    def explain_misfit(self, extractor: Any) -> str:
        """Why it cannot be computed with this extractor, in words; "" if it can."""
        if self.extractors and extractor.name not in self.extractors:
            return f"it is defined on the features of {' or '.join(self.extractors)}, not of {extractor.name}"
        if "logits" in self.needs and not extractor.num_logits:
            return f"it needs the logits of a classifier, and {extractor.name} has none"
        return ""

    def __call__(self) -> "Score":
        """Return the score itself, so that a yaml can name it as a `_target_`."""
        return self

    def values(self, inputs: Any) -> dict[str, float]:
        """Compute its numbers."""
        assert self.compute is not None
        result = self.compute(inputs)
        return dict(zip(self.numbers, result if isinstance(result, tuple) else (result,), strict=True))

    def notes(self, protocol: Mapping[str, Any], samples: int) -> dict[str, ScoreNote]:
        """The notes of its numbers, computed from `samples` samples under a suite's protocol."""
        how = self.note.format(**protocol)
        return {number: ScoreNote(samples, how, better) for number, better in self.numbers.items()}


def score(name: str, **declaration: Any) -> Callable[[Compute], Score]:
    """Declare the decorated function as a score. The arguments are those of `Score`."""
    return lambda compute: Score(name, compute=compute, **declaration)


def available_scores() -> dict[str, Score]:
    """The scores that `metrics.scores` may name, by name. Imports the files of this folder, and torch with them."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return {score.name: score for score in sorted(DECLARED, key=lambda score: score.name) if score.compute}


def find_score(name: str | Score) -> Score:
    """The score of this name in `metrics.scores`; a Score is returned as is. Raises UserError for an unknown name."""
    if isinstance(name, Score):
        return name
    known = available_scores()
    if name not in known:
        raise UserError(f"There is no score {name} in metrics.scores or metrics.final.{did_you_mean(str(name), known)}")
    return known[name]


def __getattr__(name: str) -> Any:
    """Look up a class that the module of this name held in version 0.1."""
    if name not in ("FeatureScores", "Kept"):
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module("ganrun.metrics.feature_scores"), name.replace("Kept", "FeatureBuffer"))
