"""A page of HTML that needs no other file and no network, with plotly's figures in it."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from ganrun.errors import printable
from ganrun.sweep.report.elements import Element, element

# Nothing is loaded from elsewhere. Plotly's own script stands in the page and compiles its shaders' code.
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
PLAIN_TEXTS = ("ticktext",)  # of parallel coordinates, in which plotly shows tags as they are
STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { overflow-wrap: anywhere } .note { color: #555; font-size: 14px }
.wide { overflow-x: auto } .wide td { white-space: nowrap } table { border-collapse: collapse }
td, th { padding: .25em .8em; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top }
td { font-variant-numeric: tabular-nums } code { background: #f4f4f4; padding: .1em .3em; overflow-wrap: anywhere }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: .2em; margin-right: .4em }
figure { display: inline-block; margin: .5em; vertical-align: top }
figure img { width: 240px; image-rendering: pixelated } .many figure img { width: 120px }
figcaption { max-width: 240px; font-size: 13px; overflow-wrap: anywhere } .many figcaption { max-width: 120px }
.plot { min-height: 160px }
"""
# Plotly's script is three quarters of a page: it is compressed, and the browser unpacks it.
START = """
const unpack = async packed => {
  const bytes = Uint8Array.from(atob(packed), c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
(async () => {
  const script = document.createElement("script");
  script.textContent = await unpack(document.getElementById("plotly").textContent);
  document.head.append(script);
  for (const plot of document.querySelectorAll(".plot")) {
    const figure = JSON.parse(plot.querySelector("script").textContent);
    Plotly.newPlot(plot, figure.data, figure.layout, {displaylogo: false, responsive: true});
  }
})();
"""


def page(title: str, sections: Sequence[Element], figures: bool = False) -> str:
    """Return a page that may not load anything: all it needs is in it. figures: whether sections have some."""
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", title),
        element("style", Element(STYLE)),
    ]
    scripts = [element("script", Element(packed_plotly()), type="text/plain", id="plotly")] if figures else []
    scripts += [element("script", Element(START))] if figures else []
    return f"<!doctype html>{element('html', element('head', *head), element('body', *sections, *scripts))}\n"


def figure_element(figure: Any) -> Element:
    """Return a figure of plotly as an element of a page, which draws it when it opens."""
    content = map_texts(figure.to_plotly_json())
    text = json.dumps(content, default=lambda array: array.tolist(), separators=(",", ":")).replace("<", "\\u003c")
    return element("div", element("script", Element(text), type="application/json"), **{"class": "plot"})


@cache
def packed_plotly() -> str:
    """Return plotly's script, compressed, in base64."""
    import plotly

    script = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(script, mtime=0)).decode()


def map_texts(node: Any) -> Any:
    """Return the content of a figure with its texts escaped: plotly shows tags in them as links and styles."""
    if isinstance(node, Mapping):
        return {key: value if key in PLAIN_TEXTS else map_texts(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [map_texts(value) for value in node]
    return escape(printable(node), quote=False) if isinstance(node, str) else node
