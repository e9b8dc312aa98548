"""Pages that a local server serves: nothing in them but their own script and style may run."""

import base64
import hashlib
from collections.abc import Sequence

from ganrun.sweep.report.elements import Element, element


def policy_digest(text: str) -> str:
    """Return how a Content-Security-Policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy_of(style: str, script: str, images: str) -> str:
    """Return the Content-Security-Policy of a page with this style and script. images: where images may come from."""
    allowed = [
        "default-src 'none'",
        f"script-src {policy_digest(script)}",
        f"style-src {policy_digest(style)}",
        "connect-src 'self'",
        f"img-src {images}",
    ]
    return "; ".join([*allowed, *(f"{name} 'none'" for name in ("base-uri", "form-action", "frame-ancestors"))])


def local_page(title: str, style: str, script: str, sections: Sequence[Element]) -> str:
    """Return the page."""
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Element(style)),
    ]
    body = element("body", *sections, element("script", Element(script)))
    return f"<!doctype html>{element('html', element('head', *head), body, lang='en')}\n"
