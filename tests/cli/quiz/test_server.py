"""The server of a quiz: whom it serves, what it refuses, and that no answer is lost."""

import errno
import hashlib
import json
import re
import socket
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.quizzes import JSON, Client, make_quiz, serving
from helpers.waiting import wait_until

from ganrun.cli.quiz import page, state
from ganrun.cli.quiz.answers import describe_quizzes, read_sheet, read_sheets
from ganrun.cli.quiz.server import QuizServer
from ganrun.errors import UserError


@pytest.fixture
def quiz(tmp_path):
    return make_quiz(tmp_path)


@pytest.fixture
def client(quiz):
    with serving(quiz) as client:
        yield client


def kept(quiz):
    """The kinds and answers in the file."""
    return [(entry["kind"], entry["answer"]) for entry in read_sheet(quiz.path).answers]


def test_each_picture_is_asked_for_once_and_the_result_names_the_mistakes(quiz, client):
    view = client.view()
    for i, kind in enumerate(["real", "real", "generated", "generated"]):
        assert (view["answered"], view["total"], view["picture"]) == (i, 4, quiz.questions[i].token)
        assert client.get(f"/picture/{view['picture']}") == quiz.questions[i].png
        view = client.answer(view, kind)
        assert kept(quiz)[-1] == (quiz.questions[i].kind, kind)  # before the next one
    assert "picture" not in view
    wrong = "50 % (95 %: 9 to 91 %, 2 answers)"
    assert view["table"][0] == ["", "this quiz"]
    assert view["table"][1:3] == [["fakes taken for real", wrong], ["real taken for generated", wrong]]
    mistakes = {
        (each["kind"], b64decode(each["source"].removeprefix("data:image/png;base64,"))) for each in view["mistakes"]
    }
    assert mistakes == {("generated", quiz.questions[1].png), ("real", quiz.questions[2].png)}
    assert quiz.ended.wait(5)
    wait_until(lambda: not is_served(client))


def is_served(client):
    try:
        socket.create_connection((client.host, client.port), timeout=5).close()
    except ConnectionError:  # refused, or reset while the server closes
        return False
    return True


def test_nothing_but_names_and_counts_is_sent_before_the_end(client):
    view = client.view()
    while "picture" in view:
        assert view.keys() == {"answered", "total", "limit", "picture"}
        assert re.fullmatch(r"[0-9a-f]{32}", view["picture"])
        view = client.answer(view, "real")


OTHER_HOSTS = ["evil.example", "127.0.0.1.evil.example", "127.0.0.1:80:80", "0.0.0.0", "", "127.0.0.1@evil.example"]


@pytest.mark.parametrize("host", OTHER_HOSTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_leads_here_by_dns_rebinding_is_refused(client, method, host):
    path = client.base + ("/view" if method == "GET" else "/answer")
    assert client.request(method, path, b"{}", {"Host": host, **JSON})[0] == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:8000"])
def test_a_tunnel_may_have_another_port(client, host):
    assert client.request("GET", f"{client.base}/view", headers={"Host": host})[0] == 200


def test_a_request_without_a_host_or_with_two_is_refused(client):
    for hosts in ("", "Host: 127.0.0.1\r\nHost: localhost\r\n"):
        with socket.create_connection((client.host, client.port), timeout=5) as connection:
            connection.sendall(f"GET {client.base}/view HTTP/1.1\r\n{hosts}\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.0 421 ")


@pytest.mark.parametrize(
    "path", ["/", "/view", "/favicon.ico", "/{wrong}/view", "/{right}x", "/{right}/", "/{right}/..", "/{right}/picture"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_refused(client, method, path):
    secret = client.base[1:]
    path = path.format(wrong="0" * len(secret), right=secret)
    status, _, body = client.request(method, path, b"{}", JSON)
    assert (status, body) == (404, b"Not Found")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "X<script>"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, f"{client.base}/view")[0] == 501


def test_a_picture_is_sent_in_its_turn_only(quiz, client):
    first, second = (question.token for question in quiz.questions[:2])
    for token in (second, "0" * 31 + "g", "../view", ""):
        assert client.request("GET", f"{client.base}/picture/{token}")[0] == 404
    client.answer(client.view(), "real")
    assert client.request("GET", f"{client.base}/picture/{first}")[0] == 404


def test_answers_out_of_turn_are_refused(quiz, client):
    first, second = (question.token for question in quiz.questions[:2])
    assert client.post(picture=first, answer="real")[0] == 409  # not shown yet
    assert client.post(picture=second, answer="real")[0] == 404
    assert client.post(picture="f" * 32, answer="real")[0] == 404
    client.answer(client.view(), "real")
    status, view = client.post(picture=first, answer="generated")
    assert (status, view["picture"]) == (409, second)  # what the page asks next
    assert kept(quiz) == [("real", "real")]


BAD_BODIES = {
    "not JSON": b"picture=1&answer=real",
    "a list": b"[]",
    "empty": b"",
    "no picture": b'{"answer": "real"}',
    "another answer": b'{"picture": "TOKEN", "answer": "fake"}',
    "a list as answer": b'{"picture": "TOKEN", "answer": ["real"]}',
    "a number": b'{"picture": 1, "answer": "real"}',
    "more": b'{"picture": "TOKEN", "answer": "real", "seconds": 1}',
    "deep": b"[" * 1000,
    "not UTF-8": b'{"picture": "\xff", "answer": "real"}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_wrong_body_is_refused(quiz, client, body):
    token = quiz.questions[0].token
    client.get(f"/picture/{token}")
    assert client.request("POST", f"{client.base}/answer", body.replace(b"TOKEN", token.encode()), JSON)[0] == 400
    assert client.view()["answered"] == 0


@pytest.mark.parametrize(
    ("headers", "size", "status"),
    [
        ({"Content-Type": "text/plain"}, 10, 415),  # what a page elsewhere could send without asking
        ({}, 10, 415),
        (JSON, 1025, 413),
        (JSON, 60_000, 413),
        ({**JSON, "Content-Length": "x"}, 0, 411),
        ({**JSON, "Content-Length": "-1"}, 0, 411),
        ({**JSON, "Content-Length": "9" * 30}, 0, 411),
        ({**JSON, "Transfer-Encoding": "chunked"}, 0, 411),
    ],
)
def test_a_body_of_another_size_or_type_is_refused(client, headers, size, status):
    body = None if size == 0 else b" " * size
    with socket.create_connection((client.host, client.port), timeout=5) as connection:
        head = {"Host": "localhost", **({"Content-Length": str(size)} if size else {}), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        connection.sendall(f"POST {client.base}/answer HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))
        assert int(connection.recv(100).split()[1]) == status


def test_two_browsers_that_answer_at_once_give_one_answer(quiz, client):
    token = client.view()["picture"]
    client.get(f"/picture/{token}")
    with ThreadPoolExecutor(8) as pool:
        codes = [*pool.map(lambda _: client.post(picture=token, answer="real")[0], range(8))]
    assert sorted(codes) == [200] + 7 * [409]
    assert len(kept(quiz)) == 1


def listeners(port):
    """The local addresses of the listening sockets with this port, in hexadecimal digits."""
    texts = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
    lines = [line.split() for text in texts for line in text.splitlines()[1:]]
    pairs = [line[1].split(":") for line in lines if line[3] == "0A"]
    return [address for address, number in pairs if int(number, 16) == port]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
def test_it_listens_on_this_machines_own_address_only(client):
    assert listeners(client.port) == ["0100007F"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", client.port), timeout=5)  # a server on all addresses would answer


def test_the_address_is_another_one_each_time(tmp_path):
    servers = [QuizServer(make_quiz(tmp_path), 0) for _ in range(2)]
    assert len({server.secret for server in servers}) == 2
    assert all(len(server.secret) == 32 for server in servers)
    for server in servers:
        server.server_close()


def test_a_port_that_is_taken_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port={port} cannot be used: Address already in use. Give another one"):
            QuizServer(make_quiz(tmp_path), port)


def test_the_page_may_load_nothing_but_its_own_script_style_and_pictures(client):
    _, headers, body = client.request("GET", client.base)
    policy = dict(entry.split(" ", 1) for entry in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", body.decode(), re.DOTALL)
        assert policy[name] == f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert not re.search(r"https?://|//[a-z]|@import|url\(", page.PAGE)
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_no_answers_leave_no_file(quiz, client):
    client.get(f"/picture/{client.view()['picture']}")
    assert [*quiz.folder.iterdir()] == []


def test_after_the_end_of_the_command_nothing_is_taken(quiz, client):
    client.answer(client.view(), "real")
    token = client.view()["picture"]
    client.get(f"/picture/{token}")
    quiz.close()
    assert client.post(picture=token, answer="real")[0] == 409
    assert len(kept(quiz)) == 1


@pytest.mark.parametrize("answered", [0, 1])
def test_an_answer_that_cannot_be_kept_ends_the_quiz(quiz, client, monkeypatch, answered):
    for _ in range(answered):
        client.answer(client.view(), "real")

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device", "quiz")

    monkeypatch.setattr(state, "write_sheet", fail)
    token = client.view()["picture"]
    client.get(f"/picture/{token}")
    assert client.post(picture=token, answer="real")[0] == 500
    assert quiz.failure.errno == errno.ENOSPC
    assert len(quiz.sheet.answers) == answered
    assert [len(sheet.answers) for sheet in read_sheets(quiz.folder)] == answered * [1]
    assert len([*quiz.folder.glob("quiz/*")]) == answered


def test_the_file_holds_what_is_needed_to_repeat_the_quiz(quiz, client):
    client.answer(client.view(), "generated")
    content = json.loads(quiz.path.read_text())
    (answer,) = content.pop("answers")
    assert answer.pop("seconds") >= 0
    assert answer == {"kind": "real", "answer": "generated", "index": 0}
    assert content["pictures"] == 4
    assert {"checkpoint", "kimg", "data", "seed", "number", "to", "limit", "who", "started"} < content.keys()
    assert describe_quizzes(quiz.folder) == "no answers after 2 kimg"


def test_a_client_that_closes_early_disturbs_nobody(client):
    for text in (b"", b"GET", b"\x16\x03\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"x" * 70_000):
        with socket.create_connection((client.host, client.port), timeout=5) as connection:
            connection.sendall(text)
    assert isinstance(Client(client.url).view(), dict)
