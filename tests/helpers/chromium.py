"""A headless Chromium, controlled by the DevTools protocol over a pair of pipes: JSON messages that end in a NUL."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from helpers.waiting import wait_until

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]


class Chromium:
    """One page of a browser. Use it as a context. folder: gets the profile of the browser."""

    def __init__(self, folder: Path, width: int = 1000, height: int = 900):
        (commands, self._commands), (self._replies, replies) = os.pipe(), os.pipe()
        flags = [*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}", "--remote-debugging-pipe"]
        script = f'exec 3<&{commands} 4>&{replies}; exec "$0" "$@"'  # the descriptors that the browser takes
        self._process = subprocess.Popen(
            ["bash", "-c", script, PROGRAM, *flags], pass_fds=(commands, replies), stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(replies)
        self._number, self._buffer, self._session = 0, b"", None

    def __enter__(self) -> "Chromium":
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return self

    def __exit__(self, *_) -> None:
        for handle in (self._commands, self._replies):
            os.close(handle)  # the browser ends with its pipes
        self._process.terminate()
        self._process.wait(30)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command to the page, or to the browser before there is one, and return the result."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": params, **session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (reply := self._read()).get("id") != self._number:
            pass
        assert "error" not in reply, reply
        return reply["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._replies, 2**16)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page, awaited."""
        reply = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 30) -> None:
        """Return when an expression holds in the page."""
        wait_until(lambda: bool(self.evaluate(condition)), seconds, lambda: self.evaluate("document.body.innerText"))

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" and len(key) == 1 else ""
            )

    def save_screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
