"""The page of `ganrun play`: the controls, and the picture that follows them."""

from ganrun.cli.local_page import local_page, policy_of
from ganrun.sweep.report.elements import element

STYLE = """
:root { color-scheme: light; font: 16px/1.5 system-ui, sans-serif; color: #222; background: #f7f7f7 }
body { margin: 0 auto; padding: 1em; max-width: 76em; display: flex; flex-wrap: wrap; gap: 2em }
main { flex: 1 1 26em } aside { flex: 0 1 24em }
h1 { font-size: 1.3em; font-weight: 600; margin: 0 0 .2em; overflow-wrap: anywhere }
.note { color: #555; font-size: .9em; margin: 0 0 1em; overflow-wrap: anywhere }
img { width: 100%; max-width: 44em; image-rendering: pixelated; background: #d9d9d9; display: block }
label { display: grid; grid-template-columns: 7em 1fr 3.5em; gap: .6em; align-items: center; margin: .35em 0 }
output { font-variant-numeric: tabular-nums; text-align: right }
input, select, button { font: inherit; accent-color: #1a56c4; min-width: 0 }
button { padding: .3em 1em; margin: .8em .6em 0 0; border: 1px solid #888; border-radius: .4em; background: white }
"""
SCRIPT = """
"use strict";
const get = id => document.getElementById(id);
const base = location.pathname.replace(/[/]+$/, "") + "/";
let controls = [], values = {}, isDrawing = false, isWaiting = false;

async function draw() {
  if (isDrawing) { isWaiting = true; return; }  // one request at a time; the last values count
  isDrawing = true;
  do {
    isWaiting = false;
    const options = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(values)};
    try {
      const reply = await fetch(base + "draw", options);
      if (!reply.ok) throw new Error(reply.statusText);
      const before = get("picture").src;
      get("picture").src = URL.createObjectURL(await reply.blob());
      await get("picture").decode();
      if (before) URL.revokeObjectURL(before);
      get("trouble").hidden = true;
    } catch (error) {
      get("trouble").hidden = false;
    }
  } while (isWaiting);
  isDrawing = false;
}

function change(control, input, output) {
  values[control.name] = Number(input.value);
  if (output) output.value = input.value;
  draw();
}

function add(control) {
  const row = document.createElement("label"), name = document.createElement("span");
  const input = document.createElement(control.choices.length ? "select" : "input");
  const output = control.choices.length ? null : document.createElement("output");
  name.textContent = control.label;
  control.choices.forEach((choice, number) => input.add(new Option(choice, number)));
  if (output) {
    input.type = "range";
    Object.assign(input, {min: control.low, max: control.high, step: control.step});
  }
  input.name = control.name;
  input.value = control.value;
  if (output) output.value = input.value;
  input.addEventListener("input", () => change(control, input, output));
  row.append(name, input, ...(output ? [output] : []));
  get("controls").append(row);
}

function show() {
  get("controls").replaceChildren();
  values = {};
  controls.forEach(add);
  draw();
}

async function start() {
  const reply = await (await fetch(base + "controls")).json();
  document.title = get("title").textContent = reply.title;
  get("place").textContent = reply.place;
  controls = reply.controls;
  show();
}

get("reset").addEventListener("click", show);
get("next").addEventListener("click", () => {
  const seed = document.querySelector("[name=seed]");
  seed.value = (Number(seed.value) + 1) % (Number(seed.max) + 1);
  seed.dispatchEvent(new Event("input"));
});
start().catch(() => { get("trouble").hidden = false; });
"""
POLICY = policy_of(STYLE, SCRIPT, images="'self' blob:")


PICTURE = element("main", element("img", id="picture", alt="samples"))
CONTROLS = element(
    "aside",
    element("h1", id="title"),
    element("p", id="place", **{"class": "note"}),
    element("form", id="controls"),
    element("button", "next seed", id="next", type="button"),
    element("button", "reset", id="reset", type="button"),
    element("p", "The server has ended, or cannot draw this.", id="trouble", hidden="", **{"class": "note"}),
)
PAGE = local_page("Play", STYLE, SCRIPT, [PICTURE, CONTROLS])
