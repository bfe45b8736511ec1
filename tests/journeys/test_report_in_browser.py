"""The report as a browser shows it: no request, no message in the console, no script, light and dark."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.reporting.report_views import classify_view, regress_view

from tunesmith.reporting.report import write_report

HOSTILE = '<script>document.title="taken"</script><img src="http://127.0.0.1:9/x" onerror="document.title=\'taken\'">'
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--hide-scrollbars",
]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report whose texts try to act."""
    write_report(classify_view(tmp_path / "view", num_labels=12, texts=[HOSTILE]), tmp_path / "report.html")
    return tmp_path / "report.html"


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page in a browser of its own; no name resolves, so nothing but the file can be reached."""
    command = [
        str(CHROMIUM),
        *QUIET,
        f"--user-data-dir={page.parent / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        *options,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)


def requests(log: Path) -> list[str]:
    """What the page asked the network for; what the browser asks for itself is not charged to a file."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return [url for line in lines if "site=file://" in line for url in re.findall(r'"url":"(https?:[^"]*)"', line)]


def test_the_page_asks_for_nothing_and_has_nothing_to_say_in_the_console(page: Path) -> None:
    log = page.parent / "net.json"
    seen = browse(page, "--dump-dom", "--enable-logging=stderr", f"--log-net-log={log}")
    assert "CONSOLE" not in seen.stderr
    assert requests(log) == []
    assert "<title>Better than TF-IDF and majority · desk</title>" in seen.stdout
    assert "<script" not in seen.stdout
    assert "&lt;script&gt;" in seen.stdout
    assert seen.stdout.rstrip().endswith("</html>")


def test_the_log_would_show_a_request(tmp_path: Path) -> None:
    """The check above can fail: a page that asks for something is seen to ask."""
    (tmp_path / "page.html").write_text('<img src="http://nowhere.invalid/x.png"><script>console.log("said")</script>')
    log = tmp_path / "net.json"
    seen = browse(tmp_path / "page.html", "--dump-dom", "--enable-logging=stderr", f"--log-net-log={log}")
    assert "said" in seen.stderr
    assert set(requests(log)) == {"http://nowhere.invalid/x.png"}


@pytest.mark.parametrize(("scheme", "paper"), [(1, (0xFB, 0xFA, 0xF8)), (0, (0x14, 0x17, 0x1B))])
@pytest.mark.parametrize("width", [1280, 500])
def test_it_is_painted_in_light_and_dark(page: Path, scheme: int, paper: tuple[int, ...], width: int) -> None:
    from PIL import Image

    shot = page.parent / "shot.png"
    look = (f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={width},1600", f"--screenshot={shot}")
    browse(page, *look)
    with Image.open(shot) as picture:
        pixels = picture.convert("RGB")
        assert pixels.size[0] == width
        assert pixels.getpixel((3, 700)) == paper
        colours = pixels.getcolors(1 << 24) or []
    # Text, charts and the verdict's colour: a page that failed to lay out has next to none.
    assert len(colours) > 200


def test_a_regression_is_painted_too(tmp_path: Path) -> None:
    write_report(regress_view(tmp_path / "view"), tmp_path / "report.html")
    seen = browse(tmp_path / "report.html", "--dump-dom", "--enable-logging=stderr")
    assert "CONSOLE" not in seen.stderr
    assert seen.stdout.count('class="case"') == 120
    assert "nan%" not in seen.stdout
