"""`python -m tools.screenshots STACK`: takes the README's pictures of a stack that runs, into docs/pictures."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI

from tests.conftest import chromium
from tools.health import Chain
from tools.report.__main__ import read, write
from tools.stack_outputs import outputs_of
from tools.status import ask, screen

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
STATUS_COLUMNS = 120
TERMINAL = """
<style>
  body {{ margin: 0; background: {background}; color: {foreground} }}
  pre {{ display: inline-block; margin: 0; padding: 16px; font: 15px/1.17 "DejaVu Sans Mono", monospace }}
  {stylesheet}
</style>
<pre>{code}</pre>
"""


def take(browser: Browser, page: Path, name: str, width: int, height: int, scheme: Literal["light", "dark"]) -> None:
    """The top of the page in a window of this size."""
    window = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    window.goto(page.as_uri())
    window.screenshot(path=PICTURES / f"{name}.png")
    window.close()


def take_status(browser: Browser, stack: str) -> None:
    """The status as a terminal shows it."""
    outputs = outputs_of(stack)
    console = Console(record=True, width=STATUS_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(screen(ask(stack, outputs, Chain(stack, outputs)), console))
    window = browser.new_page()
    window.set_content(console.export_html(theme=MONOKAI, code_format=TERMINAL))
    window.locator("pre").screenshot(path=PICTURES / "status.png")
    window.close()


def main() -> None:
    """Take them all."""
    stack = sys.argv[1]
    page = write(read(stack, outputs_of(stack)["services"], 1), ROOT / "report" / stack).resolve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        for scheme in ("light", "dark"):
            take(browser, page, f"report-{scheme}", 1400, 1500, scheme)
        take_status(browser, stack)
        browser.close()


if __name__ == "__main__":
    main()
