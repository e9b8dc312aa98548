"""HTML elements: whatever is put into one is escaped, unless it is an element itself."""

from collections.abc import Iterable
from html import escape

from ganrun.errors import printable

VOID = {"br", "img", "link", "meta"}  # elements without an end tag


class Element(str):
    """HTML that needs no more escaping. Text that is formatted with it becomes a plain string, and is escaped."""


def element(tag: str, *children: object, **attributes: object) -> Element:
    """Return an HTML element. An underscore in an attribute's name stands for a hyphen."""
    quoted = (f' {name.replace("_", "-")}="{escape_text(value)}"' for name, value in attributes.items())
    return Element(f"<{tag}{''.join(quoted)}>{join(children)}" + ("" if tag in VOID else f"</{tag}>"))


def join(children: Iterable[object]) -> Element:
    """Return the children one after the other."""
    return Element("".join(child if isinstance(child, Element) else escape_text(child) for child in children))


def table(rows: Iterable[Iterable[object]], head: Iterable[object] = ()) -> Element:
    """Return a table; head: the names of its columns."""
    lines = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    names = [element("th", name) for name in head]
    return element("table", *([element("tr", *names)] if names else []), *lines)


def escape_text(value: object) -> str:
    """Return a value as text that a browser only displays, in an element and within quotes."""
    return escape(printable(value))
