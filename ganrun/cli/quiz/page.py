"""The page of a quiz. It knows nothing of the pictures but their random names, until the server sends the result."""

from ganrun.cli.local_page import local_page, policy_of
from ganrun.sweep.report.elements import Element, element

STYLE = """
:root { color-scheme: light; font: 17px/1.5 system-ui, sans-serif; color: #222; background: #f7f7f7 }
body { margin: 0 auto; padding: 1em; max-width: 60em; text-align: center }
[hidden] { display: none !important }
h1 { font-size: 1.5em; font-weight: 600; margin: 1.5em 0 .5em }
#frame { display: flex; align-items: center; justify-content: center; margin: 1.2em auto; height: min(62vh, 560px) }
#place { background: #d9d9d9; outline: 1px solid #ccc }
.gone img { visibility: hidden }
img { display: block }
.enlarged { image-rendering: pixelated }
button { font: inherit; font-size: 1.1em; min-width: 10.5em; margin: .3em; padding: .6em 1em; cursor: pointer;
  border: 1px solid #888; border-radius: .5em; background: white }
button:hover:enabled, button:focus-visible { background: #e8f0fe; border-color: #1a56c4 }
button:disabled { opacity: .45; cursor: default }
button small { display: block; color: #555; font-size: .75em }
kbd { font: inherit; padding: 0 .4em; border: 1px solid #bbb; border-radius: .3em; background: #f3f3f3 }
progress { width: min(24em, 80vw); height: .5em; accent-color: #1a56c4 }
.note { color: #555; font-size: .9em }
table { margin: 1em auto; border-collapse: collapse; text-align: left; font-variant-numeric: tabular-nums }
td, th { padding: .35em 1em; border-bottom: 1px solid #ddd; font-weight: normal } tr:first-child { color: #555 }
.pictures { display: flex; flex-wrap: wrap; gap: .7em; justify-content: center }
"""
SCRIPT = """
"use strict";
const get = id => document.getElementById(id);
const base = location.pathname.replace(/[/]+$/, "") + "/";
const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
let view = null, isAsking = false;

function showSection(name) {
  for (const section of document.querySelectorAll("section")) section.hidden = section.id !== name;
}

async function call(path, body) {
  const options = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
  try {
    const reply = await fetch(base + path, body ? options : {});
    view = await reply.json();
    return true;
  } catch {
    showSection("ended");
    return false;
  }
}

function fit(image, width, height) {
  // whole multiples keep the pixels square, and small ones stay recognizable; larger pictures are made smaller
  const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
  const factor = scale > 1 ? Math.min(Math.floor(scale), 12) : scale;
  image.style.width = factor * image.naturalWidth + "px";
  image.style.height = factor * image.naturalHeight + "px";
  image.classList.toggle("enlarged", factor > 1);
}

function enableButtons(isEnabled) {
  isAsking = isEnabled;
  for (const button of document.querySelectorAll("#ask button")) button.disabled = !isEnabled;
}

async function ask() {
  if (!view.picture) return showResult();
  showSection("ask");
  get("progress").max = view.total;
  get("progress").value = view.answered;
  get("count").textContent = `${view.answered + 1} of ${view.total}`;
  const place = get("place"), image = new Image(), {picture, limit} = view;
  const wasShown = limit && sessionStorage.getItem("shown") === picture;  // before this page was loaded again
  image.src = base + "picture/" + picture;
  image.alt = "the picture to judge";
  try { await image.decode(); } catch { return showSection("ended"); }
  if (limit) {
    if (place.firstChild) place.classList.add("gone");
    await pause(0.5);
    sessionStorage.setItem("shown", picture);
  }
  fit(image, get("frame").clientWidth, get("frame").clientHeight);
  place.classList.toggle("gone", Boolean(wasShown));
  place.replaceChildren(image);
  enableButtons(true);
  if (limit && !wasShown) {
    await pause(limit);
    if (view.picture === picture) place.classList.add("gone");
  }
}

async function answer(kind) {
  if (!isAsking) return;
  enableButtons(false);
  if (await call("answer", {picture: view.picture, answer: kind})) ask();
}

function fill(name, mistakes) {
  get(name).hidden = mistakes.length === 0;
  for (const {source} of mistakes) {
    const image = new Image();
    image.onload = () => fit(image, 120, 120);
    image.src = source;
    get(name).querySelector(".pictures").append(image);
  }
}

function showResult() {
  showSection("result");
  for (const cells of view.table) {
    const row = get("table").insertRow();
    for (const cell of cells) row.insertCell().textContent = cell;
  }
  for (const kind of ["real", "generated"]) fill(kind, view.mistakes.filter(mistake => mistake.kind === kind));
  get("none").hidden = view.mistakes.length > 0;
}

async function start() {
  if (!await call("view")) return;
  if (!view.picture) return showResult();
  showSection("start");
  get("total").textContent = view.total;
  get("limit").hidden = !view.limit;
  get("seconds").textContent = view.limit;
  get("begin").focus();
}

const KEYS = {r: "real", arrowleft: "real", f: "generated", arrowright: "generated"};
document.addEventListener("keydown", event => {
  const kind = KEYS[event.key.toLowerCase()];
  if (!kind || event.repeat || event.ctrlKey || event.altKey || event.metaKey || get("ask").hidden) return;
  event.preventDefault();
  answer(kind);
});
get("begin").addEventListener("click", ask);
get("is-real").addEventListener("click", () => answer("real"));
get("is-generated").addEventListener("click", () => answer("generated"));
start();
"""


POLICY = policy_of(STYLE, SCRIPT, images="'self' data:")


def section(name: str, *children: object) -> Element:
    return element("section", *children, id=name, hidden="")


def answer_button(name: str, text: str, first_key: str, second_key: str) -> Element:
    keys = element("small", element("kbd", first_key), " or ", element("kbd", second_key))
    return element("button", text, keys, id=name, type="button", disabled="")


def mistaken(kind: str, title: str) -> Element:
    return element("div", element("h1", title), element("div", **{"class": "pictures"}), id=kind)


def start_section() -> Element:
    limit = element("p", "Each is shown for ", element("span", id="seconds"), " s. Answer at any time.", id="limit")
    return section(
        "start",
        element("h1", "Real or generated?"),
        element("p", element("span", id="total"), " pictures, one at a time: half are real, half are generated."),
        limit,
        element(
            "p",
            "Keys: ",
            element("kbd", "R"),
            " or ",
            element("kbd", "←"),
            " real, ",
            element("kbd", "F"),
            " or ",
            element("kbd", "→"),
            " generated (fake)",
        ),
        element("button", "Start", id="begin", type="button"),
    )


def ask_section() -> Element:
    return section(
        "ask",
        element("div", element("div", id="place"), id="frame"),
        answer_button("is-real", "real", "R", "←"),
        answer_button("is-generated", "generated", "F", "→"),
        element("p", element("span", id="count"), **{"class": "note"}),
        element("progress", value="0", max="1", id="progress"),
    )


def result_section() -> Element:
    return section(
        "result",
        element("h1", "Result"),
        element("table", id="table"),
        element("p", "No picture was mistaken.", id="none"),
        mistaken("generated", "Generated, taken for real"),
        mistaken("real", "Real, taken for generated"),
        element("p", "The answers are kept in the folder of the run. You can close this page.", **{"class": "note"}),
    )


def build_page() -> str:
    ended = section("ended", element("h1", "The quiz has ended"), element("p", "The answers until now are kept."))
    sections = [start_section(), ask_section(), result_section(), ended]
    return local_page("Real or generated?", STYLE, SCRIPT, sections)


PAGE = build_page()
