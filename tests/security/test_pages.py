"""Pages and tables made of the files of a run or sweep show them as text: no script, no formula, no foreign file."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from helpers.bombs import png_bytes
from helpers.hostile import MARKUP, SEQUENCES, make_fifo, make_link, write_run, write_sweep
from helpers.sweeps import read_leaderboard
from PIL import Image

from ganrun.cli.main import main
from ganrun.sweep.report import elements, ranking

WRONG = ["<script>owned()</script>", ["done"], {"a": {"b": 1}}, None, 10**400, True, -1]
OURS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "code", "br", "table", "tr", "td", "th"}
OURS |= {"figure", "img", "figcaption", "div", "span", "b", "a", "script"}


class Page(HTMLParser):
    """The elements of a page, and what it shows."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.scripts, self.shown = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        if self.tags[-1:] == ["script"]:
            self.scripts.append(data)
        else:
            self.shown += data


def check_page(path):
    """Nothing of a stranger acts in the page, and nothing is loaded."""
    page = Page(path.read_text())
    assert set(page.tags) <= OURS
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name != "src" or value.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")), value
        assert name != "href" or (tag == "a" and not re.search(r":|^/|\\", value)), value  # below or beside the page
    assert not [script for script in page.scripts if "owned()" in script and "<" in script.split("owned")[0][-20:]]
    assert "\x1b" not in page.shown
    return page


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def hostile_sweep(tmp_path):
    """A sweep whose files hold markup in every place that a report shows."""
    values = [{"model": text, f"k{MARKUP[0]}": f"{k}"} for k, text in enumerate(MARKUP)]
    folder = write_sweep(tmp_path / "s<script>owned()<", values, error="".join(MARKUP))
    content = json.loads((folder / "sweep.json").read_text())
    content["command"] = ["model=" + text for text in MARKUP]
    content["jobs"][0]["state"] = "failed"
    for job, text in zip(content["jobs"], MARKUP, strict=True):
        job["name"] += "-" + text.replace("/", "|")
        data = {"name": text, "size": text}
        config = {"metrics": {"monitor": "val/fd", "mode": text}, "seed": text, "data": data}
        run = write_run(folder / job["name"], config, {1.0: 5.0 + job["number"], 2.0: 3.0 + job["number"]})
        (run / "samples").mkdir()
        Image.new("L", (2, 2), 7).save(run / "samples" / f"{text.replace('/', '|')}-kimg000001.000.png")
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder


def test_markup_in_a_sweep_is_shown_as_text(hostile_sweep, capsys):
    assert main(["sweep", str(hostile_sweep)]) == 0
    for path in hostile_sweep.glob("report*.html"):
        page = check_page(path)
        assert page.tags.count("img") + page.shown.count("none") >= 1
    shown = "".join(Page(path.read_text()).shown for path in hostile_sweep.glob("report*.html"))
    assert all(text in shown for text in MARKUP)
    assert "[" not in capsys.readouterr().err


def test_markup_in_compared_runs_is_shown_as_text(tmp_path):
    runs = []
    for k, text in enumerate(MARKUP):
        config = {"seed": text, "optimizer": {"lr": text}, "data": {"name": "digits"}}
        name = f"{k}{text.replace('/', '|')}"
        runs.append(write_run(tmp_path / name, config, {1.0: 3.0 + k}, choices={"model": text, text: text}))
    assert main(["compare", *map(str, runs), "out=page"]) == 0
    page = check_page(tmp_path / "page" / "report.html")
    assert all(text in page.shown for text in MARKUP)


@pytest.mark.parametrize("key", ["state", "kimg", "seconds", "choices"])
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
def test_values_of_wrong_types_in_status_json_end_in_one_message_or_in_text(key, value, tmp_path, capsys):
    for name in "ab":
        write_run(tmp_path / name, {"seed": 0}, {1.0: 3.0}, **{key: value})
    assert main(["compare", "a", "b", "out=page"]) in (0, 2)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    for path in tmp_path.glob("page/*.html"):
        check_page(path)


@pytest.mark.parametrize("key", ["number", "point", "values", "seed", "name", "state", "error", "attempts", "runner"])
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
def test_values_of_wrong_types_in_sweep_json_end_in_one_message_or_in_text(key, value, tmp_path, capsys):
    folder = write_sweep(tmp_path / "sweep", [{"model": "gan"}])
    content = json.loads((folder / "sweep.json").read_text())
    content["jobs"][0][key] = value
    (folder / "sweep.json").write_text(json.dumps(content))
    write_run(folder / "0-job", {"seed": 0}, {1.0: 3.0})
    assert main(["sweep", str(folder)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err
    for path in folder.glob("*.html"):
        check_page(path)


def test_a_job_outside_the_folder_of_its_sweep_is_refused(tmp_path, capsys):
    write_run(tmp_path / "mine", {"seed": 0}, {1.0: 3.0})
    for name in ("../mine", str(tmp_path / "mine"), "a/../../mine"):
        folder = write_sweep(tmp_path / "sweep", [{"model": "gan"}], name=name)
        assert main(["sweep", str(folder)]) == 2
        assert "jobs.0.name is not what ganrun writes there" in capsys.readouterr().err


@pytest.fixture
def sweep_of_one(tmp_path):
    folder = write_sweep(tmp_path / "sweep", [{"model": "gan"}])
    write_run(folder / "0-job", {"seed": 0}, {1.0: 3.0})
    (folder / "0-job" / "samples").mkdir()
    return folder


def embedded(folder):
    return re.findall('base64,(.*?)"', (folder / "report.html").read_text().split("<h2>Samples</h2>")[1])


def no_picture(folder, kind, secret):
    path = folder / "0-job" / "samples" / "samples-kimg000001.000.png"
    if kind == "a link":
        make_link(path, secret)
    elif kind == "a link to the folder":
        (folder / "0-job" / "samples").rmdir()
        make_link(folder / "0-job" / "samples", secret.parent)
    elif kind == "a FIFO":
        make_fifo(path)
    elif kind == "a device":
        make_link(path, "/dev/zero")
    else:
        texts = {"a text": b"password", "a page": b"<script>owned()</script>", "another kind": b"GIF89a"}
        texts |= {
            "a bomb": png_bytes(60_000, 60_000, data=b""),
            "too large": bytes(2**25),
            "half": png_bytes(9, 9)[:45],
        }
        path.write_bytes(texts[kind])


KINDS = ["a link", "a link to the folder", "a FIFO", "a device", "a text", "a page", "another kind", "a bomb"]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", [*KINDS, "too large", "half"])
def test_only_pictures_of_the_run_are_embedded(kind, sweep_of_one, tmp_path):
    secret = tmp_path / "secrets" / "samples-kimg000001.000.png"
    secret.parent.mkdir()
    Image.new("L", (2, 2), 7).save(secret)
    no_picture(sweep_of_one, kind, secret)
    main(["sweep", str(sweep_of_one)])
    assert not (sweep_of_one / "report.html").exists() or not embedded(sweep_of_one)


def test_a_picture_of_the_run_is_embedded(sweep_of_one):
    Image.new("L", (2, 2), 7).save(sweep_of_one / "0-job" / "samples" / "samples-kimg000001.000.png")
    assert main(["sweep", str(sweep_of_one)]) == 0
    (picture,) = embedded(sweep_of_one)
    assert Image.open(io.BytesIO(base64.b64decode(picture))).getpixel((0, 0)) == 7


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_no_escape_sequence_of_a_sweep_reaches_terminal_page_or_table(sequence, tmp_path, capfd):
    text = f"a{sequence}b"
    folder = write_sweep(tmp_path / "sweep", [{"model": text, text: "1"}, {"model": "x", text: "2"}], error=text)
    content = json.loads((folder / "sweep.json").read_text())
    content["jobs"][1]["state"] = "failed"
    (folder / "sweep.json").write_text(json.dumps(content))
    write_run(folder / "0-job", {"data": {"name": text}, "metrics": {"monitor": "val/fd"}}, {1.0: 3.0})
    assert main(["sweep", str(folder)]) == 0
    is_yaml = not sequence.startswith("\udc9b")  # half a character is not YAML
    shutil.copytree(folder / "0-job", folder / "copy")
    assert main(["compare", str(folder / "0-job"), str(folder / "copy"), "out=page"]) == (0 if is_yaml else 2)
    out, err = capfd.readouterr()
    table, page = (folder / "leaderboard.csv").read_text(), check_page(folder / "report.html").shown
    for shown in (out, err, table, page):
        assert sequence not in shown
        assert not any(line.startswith("ganrun: done") for line in shown.splitlines())
    assert elements.printable(text) in page


@pytest.mark.parametrize("value", ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "=1"])
def test_a_formula_in_the_table_is_a_text(value, tmp_path):
    folder = write_sweep(tmp_path / "sweep", [{"model": value}, {"model": "-0.5"}], error=value)
    assert main(["sweep", str(folder)]) == 0
    first, second = read_leaderboard(folder)
    assert first["model"] == first["error"] == f"'{value}"
    assert second["model"] == "-0.5"


def test_an_element_escapes_all_but_elements():
    text = elements.element("p", "<b>", elements.element("b", 1 < 2), title='"<')
    assert text == '<p title="&quot;&lt;">&lt;b&gt;<b>True</b></p>'
    assert elements.element("p", f"{text}").startswith("<p>&lt;p")


def test_a_cell_of_the_table_keeps_numbers_and_names():
    for value in (1, -2.5, "-1e-3", "inf", "数据", "a=b", "", "lr=1"):
        assert ranking.csv_cell(value) == str(value)
