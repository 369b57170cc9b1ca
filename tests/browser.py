"""A headless Chromium to look at pages with: driven through a pipe, in the DevTools protocol."""

import contextlib
import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.pipeline.report.rendered_page import CHROMIUM


class Browser:
    """One open tab. `problems` collects the errors on the console."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._numbers = itertools.count(1)
        self._received = b""
        self._session: str | None = None
        self.problems: list[str] = []
        tab = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to a page; it need not finish loading."""
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON value of a JavaScript expression; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 120) -> Any:  # noqa: ANN401 - any JSON
        """Wait until an expression is true, and return its value. A missing element counts as not true."""
        tried = f"(() => {{ try {{ return {expression} }} catch (e) {{ return null }} }})()"
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(tried)):
            assert time.monotonic() < deadline, f"{expression} did not become true: {self.evaluate(TEXT)}"
            time.sleep(0.05)
        return value

    def barriers(self) -> list[str]:
        """Return what axe-core finds wrong with the page for people with disabilities."""
        self.evaluate(f"{files('axe_core_python').joinpath('axe.min.js').read_text()};1")
        found = "found.violations.map(one => `${one.id}: ${one.nodes[0].html}`)"
        told: list[str] = self.evaluate(f"axe.run(document).then(found => {found})")
        return told

    def call(self, method: str, **parameters: Any) -> Any:  # noqa: ANN401 - any JSON
        """Call a method of the protocol and return its result; events that come meanwhile are looked at."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._look_at(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            readable, _, _ = select.select([self._read], [], [], 60)
            assert readable, "the browser does not answer"
            chunk = os.read(self._read, 1 << 16)
            assert chunk, "the browser has ended"
            self._received += chunk
        message, _, self._received = self._received.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _look_at(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning"):
                self.problems.append(json.dumps(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")


TEXT = "document.body.innerText"


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with nothing but an empty profile, and end it."""
    assert CHROMIUM
    there_read, here_write = os.pipe()
    here_read, there_write = os.pipe()

    def to_3_and_4() -> None:
        read, write = os.dup(there_read), os.dup(there_write)
        os.dup2(read, 3)
        os.dup2(write, 4)

    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    command += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1200,900"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-quic"]
    child = subprocess.Popen(
        command,
        preexec_fn=to_3_and_4,  # noqa: PLW1509 - it calls dup2 alone
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(there_read)
    os.close(there_write)
    try:
        yield Browser(here_write, here_read)
    finally:
        with contextlib.suppress(OSError):
            os.close(here_write)
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        os.close(here_read)
