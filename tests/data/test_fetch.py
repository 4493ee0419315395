import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from gcl.data import cards, check, fetch
from gcl.errors import InputError

TRAIN = "".join(f"{u} {u} {u + 1} {u + 2}\n" for u in range(500)).encode()
TEST = "".join(f"{u} {u + 3}\n" for u in range(500)).encode()
FILES = {"/train.txt": TRAIN, "/test.txt": TEST}


class Handler(BaseHTTPRequestHandler):
    """Serves FILES, knows ranges unless told otherwise, and may end after some bytes."""

    ranges, stop, asked = True, None, []

    def do_GET(self):
        type(self).asked.append((self.path, self.headers.get("Range")))
        body = FILES.get(self.path)
        if body is None:
            self.send_error(404)
            return
        start = int(self.headers["Range"][6:-1]) if self.ranges and self.headers.get("Range") else 0
        if start and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : None if self.stop is None else self.stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Handler.ranges, Handler.stop, Handler.asked = True, None, []
    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


@pytest.fixture
def card(server, tmp_path, monkeypatch):
    """A function that puts up a card ``mine`` and gives the folder in the cache."""
    monkeypatch.setenv("GCL_CACHE", str(tmp_path))
    monkeypatch.delenv("GCL_DATA", raising=False)
    monkeypatch.setattr(cards, "share", lambda *parts: tmp_path.joinpath(*parts))
    (tmp_path / "datasets").mkdir()

    def put(**changes):
        files = {
            name[1:-4]: {"path": name[1:], "url": server + name, "sha256": hashlib.sha256(body).hexdigest()}
            for name, body in FILES.items()
        }
        for role, change in changes.items():
            files[role] = files.get(role, {}) | change
        made = {
            "title": "t", "kind": "general", "folder": "x/mine", "format": "lists", "files": files,
            "expected": {"users": 500, "items": 503, "interactions": 2000, "train": 1500, "test": 500},
            "license": "none", "citation": "nobody", "source": "here", "by_hand": "write them yourself.",
        }  # fmt: skip
        (tmp_path / "datasets/mine.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
        cards._read.cache_clear()
        return tmp_path / "mine"

    return put


def test_files_are_fetched_checked_and_not_fetched_again(card):
    folder = card()
    told = []
    assert fetch("mine", lambda *progress: told.append(progress)) == folder
    assert (folder / "train.txt").read_bytes() == TRAIN
    assert not list(folder.glob("*.part"))
    assert told[-1] == ("test.txt", len(TEST), len(TEST))
    report = check("mine")
    assert report.ok and report.lines()[0].split() == ["ok", "train.txt"]
    fetch("mine")
    assert len(Handler.asked) == 2


def test_a_download_goes_on_where_it_stopped(card):
    folder = card()
    Handler.stop = 100
    with pytest.raises(OSError, match=r"train\.txt ended after 100 of [\d,]+ bytes\. Run the same again to go on\."):
        fetch("mine")
    assert (folder / "train.txt.part").read_bytes() == TRAIN[:100]
    assert not (folder / "train.txt").exists()
    Handler.stop = None
    fetch("mine")
    assert Handler.asked[1] == ("/train.txt", "bytes=100-")
    assert (folder / "train.txt").read_bytes() == TRAIN


def test_a_server_without_ranges_sends_anew(card):
    folder = card()
    folder.mkdir()
    (folder / "train.txt.part").write_bytes(b"old")
    (folder / "test.txt.part").write_bytes(TEST)
    Handler.ranges = False
    fetch("mine")
    assert (folder / "train.txt").read_bytes() == TRAIN


def test_a_part_that_is_whole_is_taken(card):
    folder = card()
    folder.mkdir()
    (folder / "train.txt.part").write_bytes(TRAIN)
    fetch("mine")
    assert (folder / "train.txt").read_bytes() == TRAIN


def test_a_wrong_checksum_is_an_error_and_removes_the_file(card):
    folder = card(train={"sha256": "0" * 64})
    with pytest.raises(OSError, match=r"gave a file with the checksum [0-9a-f]{64}, not 0{64} as on the card of mine;"):
        fetch("mine")
    assert not list(folder.glob("train*"))


def test_unknown_and_reordered_files_are_taken_with_a_warning(card, caplog):
    card(train={"sha256": "0" * 64, "reordered": True}, test={"sha256": None})
    fetch("mine")
    assert "train.txt has no checksum to compare with; run: gcl datasets check mine" in caplog.text
    report = check("mine")
    assert dict(report.files) == {"train.txt": "reordered", "test.txt": "unknown"}
    assert report.ok


def test_an_optional_file_may_be_missing(card, server, caplog):
    card(image={"path": "image_feat.npy", "url": f"{server}/none.npy", "optional": True})
    fetch("mine")
    assert "image_feat.npy is left out" in caplog.text and "404" in caplog.text
    assert check("mine").files["image_feat.npy"] == "missing"


def test_changed_files_and_counts_are_reported(card):
    folder = card()
    folder.mkdir()
    (folder / "train.txt").write_bytes(TRAIN + b"500 1\n")
    (folder / "test.txt").write_bytes(TEST)
    report = check("mine")
    assert not report.ok
    assert report.lines() == [
        "changed    train.txt", "ok         test.txt", "differs    users: 501, not 500", "ok         items: 503",
        "differs    interactions: 2,001, not 2,000", "differs    train: 1,501, not 1,500", "ok         test: 500",
    ]  # fmt: skip


def test_without_address_it_says_what_to_do(card):
    card(train={"url": None})
    with pytest.raises(InputError, match=r"^mine cannot be fetched: train\.txt has no address\. By hand: write them"):
        fetch("mine")


def test_a_refusal_and_a_dead_server_are_errors(card, server):
    card(train={"url": f"{server}/none.txt"})
    with pytest.raises(OSError, match=r"/none\.txt cannot be fetched: 404 "):
        fetch("mine")
    card(train={"url": "http://127.0.0.1:9/x"})
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9/x cannot be fetched: .* Run the same again to go on\."):
        fetch("mine")
