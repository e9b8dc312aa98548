"""Downloads are checked against their hash, with clear messages if they fail."""

import hashlib
import sys
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from ganrun.data import download as module
from ganrun.data.cifar10 import Cifar10
from ganrun.data.download import download
from ganrun.data.idx import FashionMnist, Mnist
from ganrun.errors import UserError

CONTENT = b"some pictures"
MD5 = hashlib.md5(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "pictures.gz").write_bytes(CONTENT)
    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "web"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_comes_from_the_first_mirror_that_has_it(server, cache):
    path = download([f"{server}/gone/pictures.gz", f"{server}/pictures.gz"], MD5, "name", "")
    assert path == cache / "downloads" / "name" / "pictures.gz"
    assert path.read_bytes() == CONTENT


def test_an_existing_file_is_not_downloaded_again(server, cache):
    path = download([f"{server}/pictures.gz"], MD5, "name", "")
    assert download(["http://127.0.0.1:9/pictures.gz"], MD5, "name", "") == path


def test_a_terminal_shows_a_progress_bar(server, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    download([f"{server}/pictures.gz"], MD5, "name", "")
    assert "pictures.gz" in capsys.readouterr().err


def test_a_wrong_hash_is_refused_and_no_file_is_left(server, cache):
    with pytest.raises(UserError, match=r"wrong hash.*Do this"):
        download([f"{server}/pictures.gz"], "0" * 32, "name", "Do this.")
    assert not list((cache / "downloads").rglob("*.gz"))


@pytest.mark.parametrize("source", [Mnist, FashionMnist, Cifar10])
def test_without_a_network_the_message_names_url_files_and_root(source, monkeypatch):
    def unreachable(url, md5, target):
        raise OSError("network is unreachable")

    monkeypatch.setattr(module, "_fetch", unreachable)
    with pytest.raises(UserError) as error:
        source(root=None, size=28, channels=1).prepare()
    assert "http" in str(error.value)
    assert ".gz" in str(error.value)
    assert "data.root=FOLDER" in str(error.value)
