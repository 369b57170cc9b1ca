"""Looks at pages as a browser does: their elements, and what headless Chromium makes of them."""

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt install chromium"
)


class RenderedPage(HTMLParser):
    """All elements of a page in order, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


FRAME = """<!doctype html><meta charset="utf-8">
<style>body{{margin:0}}iframe{{border:0;display:block}}</style>
<iframe width="{width}" height="{height}" srcdoc="{page}"></iframe>
<script>onload = () => {{
  const root = frames[0].document.documentElement;
  document.title = `measured ${{root.scrollWidth}} ${{root.clientWidth}} ${{root.scrollHeight}}`;
}}</script>"""


def browse(
    page: str, width: int, height: int, folder: Path, *options: str, dark: bool = False, frame: str = FRAME
) -> str:
    """Open a page in a frame of the given size in a new browser; return the browser's output and console."""
    assert CHROMIUM
    document = folder / "frame.html"
    document.write_text(frame.format(width=width, height=height, page=html.escape(page)), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--window-size={max(width, 500)},{height}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--hide-scrollbars"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", *options, document.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout + "".join(line + "\n" for line in done.stderr.splitlines() if "CONSOLE" in line)


def dimensions(page: str, width: int, folder: Path) -> tuple[str, int, int, int]:
    """Return the browser's console and the page's scroll width, client width and height in a window."""
    output = browse(page, width, 900, folder, "--dump-dom")
    found = re.search(r"<title>measured (\d+) (\d+) (\d+)</title>", output)
    assert found, output[:500]
    console = "\n".join(line for line in output.splitlines() if "CONSOLE" in line)
    return console, int(found[1]), int(found[2]), int(found[3])
