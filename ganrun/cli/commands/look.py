"""ganrun look: shows what a trained model has learned, in pictures and animations."""

from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from ganrun.cli.given import refuse_given
from ganrun.cli.look.default import default_views
from ganrun.cli.look.film import show_film
from ganrun.cli.look.mean import show_mean
from ganrun.cli.look.neighbours import show_neighbours
from ganrun.cli.look.page import PAGE, write_page
from ganrun.cli.look.path import show_path
from ganrun.cli.look.reconstruction import show_input
from ganrun.cli.look.traversal import show_code
from ganrun.cli.look.view import View
from ganrun.errors import UserError, did_you_mean
from ganrun.terminal import PlainConsole
from ganrun.training.inference import TrainedModel, load_trained_model
from ganrun.training.run_folder import check_new_folder, make_run_folder

FORMS: dict[str, Callable[[DictConfig, TrainedModel], list[View]]] = {
    "path": show_path,
    "code": show_code,
    "mean": show_mean,
    "input": show_input,
    "neighbours": show_neighbours,
    "film": show_film,
}
READ_BY = {  # the forms that read a setting
    "way": ("path",),
    "steps": ("path", "code"),
    "range": ("code",),
    "rows": ("code", "neighbours"),
    "of": ("mean",),
    **dict.fromkeys(("invert", "updates", "feature_weight"), ("input",)),
    "classes": ("path", "code", "input", "neighbours"),
    "z": ("path", "code", "mean", "neighbours"),
    "seed": ("path", "code", "mean", "input", "neighbours"),
}
OF_PAGE = ("path", "code", "neighbours")  # forms with settings that the page of all has
FORMATS, OTHER_FORMS = ("grid", "gif", "npz"), ("path", "code")  # of these forms only; the others are pictures


def run(cfg: DictConfig, folder: Path) -> None:
    """Write the pictures that are asked for, or all that suit the model, and a page of them."""
    out = check_new_folder(Path(cfg.out or folder), "out")
    asked = [form for form in FORMS if is_asked(cfg[form])]
    check_format(cfg, asked)
    refuse_unread(asked)
    check_range(*cfg.range)
    trained = load_trained_model(cfg)
    left_out: list[str] = []
    if asked:
        views = [view for form in asked for view in FORMS[form](cfg, trained)]
    else:
        views, left_out = default_views(cfg, trained, FORMS)

    def write(partial: Path) -> None:
        for view in views:
            view.write(partial)
            if cfg["as"] == "npz":
                view.write_examples(partial)
        write_page(partial, trained, views, left_out)

    out = make_run_folder(out, write, "out")
    lines = [*describe_views(views, left_out), f"page  {out / PAGE}"]
    PlainConsole(soft_wrap=True).print(*lines, sep="\n", highlight=False)


def describe_views(views: Sequence[View], left_out: Sequence[str]) -> list[str]:
    """Return a line for each view with its notes below it, and one for each that is left out."""
    width, lines = max(len(view.file) for view in views) + 2, []
    for view in views:
        lines += [f"{view.file:<{width}}{view.caption}", *(f"{'':<{width}}{note}" for note in view.notes)]
    return [*lines, *(f"left out: {reason}" for reason in left_out)]


def is_asked(value: object) -> bool:
    """Return whether a form is asked for: the class 0 of mean=0 is, film=false is not."""
    return value is not None and value is not False


def refuse_unread(asked: Sequence[str]) -> None:
    """Raise UserError for a setting on the command line that no form reads of those that are shown."""
    for setting, forms in READ_BY.items():
        if not set(asked or OF_PAGE) & {*forms}:
            refuse_given([setting], f"it is for {' or '.join(f'{form}=' for form in forms)}")


def check_range(low: float, high: float) -> None:
    if not low < high:
        raise UserError(f"range=[{low:g},{high:g}] must go from a smaller to a larger number, such as range=[-2,2].")


def check_format(cfg: DictConfig, asked: list[str]) -> None:
    """Raise UserError for an unknown format, and for one that nothing of what is asked for has."""
    form = cfg["as"]
    if form not in FORMATS:
        raise UserError(f"Unknown format as={form}.{did_you_mean(str(form), FORMATS)}")
    if form != "grid" and not set(asked) & {*OTHER_FORMS}:
        raise UserError(f"as={form} is for path= and code=, and neither is given. For example: path=[0,1,2] as={form}")
