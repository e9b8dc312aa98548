"""The page of all that was looked at."""

import base64
from collections.abc import Sequence
from pathlib import Path

from ganrun.cli.look.view import View
from ganrun.files import replace_text
from ganrun.sweep.report.elements import Element, element
from ganrun.sweep.report.page import page
from ganrun.training.inference import TrainedModel

PAGE = "index.html"


def write_page(folder: Path, trained: TrainedModel, views: Sequence[View], left_out: Sequence[str]) -> None:
    """Write a page with the pictures of a folder in it, and the reasons why others are missing."""
    title = f"{trained.choices['model']} on {trained.choices['data']}"
    sections = [
        element("h1", title),
        element("p", f"{trained.path}, after {trained.kimg:g} kimg", **{"class": "note"}),
        *(figure(folder, view) for view in views),
    ]
    if left_out:
        reasons = element("ul", *(element("li", reason) for reason in left_out))
        sections.append(element("div", element("p", "Not shown:"), reasons, **{"class": "note"}))
    replace_text(folder / PAGE, page(title, sections))


def figure(folder: Path, view: View) -> Element:
    kind = "png" if view.file.endswith(".png") else "gif"
    content = base64.b64encode((folder / view.file).read_bytes()).decode()
    image = element("img", src=f"data:image/{kind};base64,{content}", alt=view.caption, style="max-width:100%")
    notes = (element("p", note, **{"class": "note"}) for note in view.notes)
    return element("section", element("h2", view.caption), image, *notes)
