"""Opens the story book, and takes pictures of it.

    python -m tests.browser.story_book                      build, say how to open it
    python -m tests.browser.story_book NAME… --out FOLDER   a picture of each state
        [--dark] [--width PIXELS]                           (without a NAME: of all)
    python -m tests.browser.story_book --docs               docs/panel-states.md anew

The page is one file that needs no server: widgets/story/index.html.
"""

import argparse
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tools.chromium import find_chromium
from tools.frontend import WIDGETS, install_packages, run_npm

INDEX = WIDGETS / "story" / "index.html"
DOCS = WIDGETS.parent / "docs" / "panel-states.md"
PICTURES = DOCS.parent / "images" / "states"
DOCS_WIDTH = 480
LARGEST = 30 * 1024
FLAGS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]

_DOCS_HEAD = """\
# The states of the widgets

Every state that the chat panel and the board can be in, in the light and the dark theme
of JupyterLab. The pictures are those of the story book (`widgets/story`): the widgets
themselves with what a kernel sent them. `make pictures` takes them anew.

| | light | dark |
|---|---|---|"""


def build() -> None:
    """Bundle the stories; a second or so."""
    install_packages()
    run_npm("exec", "--silent", "--", "node", "story/build.mjs")


def address(names: Sequence[str] = (), *, dark: bool = False, width: int = 0) -> str:
    """The page with these stories, or all."""
    query = {
        **({"only": ",".join(names)} if names else {}),
        **({"theme": "dark"} if dark else {}),
        **({"width": str(width)} if width else {}),
    }
    return f"{INDEX.as_uri()}?{urlencode(query)}"


def open_stories(page: Page, at: str) -> None:
    """Load the page and wait until every story is told.

    Raises:
        AssertionError: a story did not reach its state.
    """
    page.goto(at)
    page.wait_for_selector("body[data-ready]")
    problems = page.locator("body").get_attribute("data-problems")
    assert not problems, problems


def told(page: Page, name: str) -> Locator:
    """The widget of a story."""
    return page.locator(f"[data-story='{name}']")


def names_of(page: Page) -> dict[str, str]:
    """All stories of the page's book and what they are."""
    stories = page.evaluate("() => window.stories")
    return {story["name"]: story["says"] for story in stories}


@contextmanager
def _chromium() -> Generator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=FLAGS
        )
        yield browser
        browser.close()


def take_pictures(
    folder: Path, names: Sequence[str], *, dark: bool, width: int
) -> None:
    """Write NAME.png, or NAME-dark.png, of each story into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with _chromium() as browser:
        page = browser.new_page(viewport={"width": 920, "height": 700})
        page.goto(address(["none"]))
        for name in names or names_of(page):
            open_stories(page, address([name], dark=dark, width=width))
            path = folder / f"{name}{'-dark' if dark else ''}.png"
            told(page, name).screenshot(path=path, animations="disabled")


def make_docs() -> None:
    """Take the pictures of docs/panel-states.md, in both themes, and write the page."""
    for old in PICTURES.glob("*.png"):
        old.unlink()
    for dark in (False, True):
        take_pictures(PICTURES, [], dark=dark, width=DOCS_WIDTH)
    for path in PICTURES.glob("*.png"):
        make_small(path)
    with _chromium() as browser:
        page = browser.new_page()
        page.goto(address(["none"]))
        DOCS.write_text(docs_page(names_of(page)), encoding="utf-8")


def make_small(path: Path) -> None:
    """Give a picture a palette.

    Raises:
        ValueError: it is too large even so.
    """
    with Image.open(path) as picture:
        picture.load()
    # Of the methods the one that keeps a rare colour, such as that of a small dot.
    small = picture.convert("RGB").quantize(
        128, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    small.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes")


def docs_page(stories: Mapping[str, str]) -> str:
    """The page that shows each state, light and dark."""
    rows = [
        f"| **{name}**<br>{says} | {_image(name)} | {_image(f'{name}-dark')} |"
        for name, says in stories.items()
    ]
    return "\n".join([_DOCS_HEAD, *rows, ""])


def _image(name: str) -> str:
    return f"![{name}](images/states/{name}.png)"


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.story_book")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=0)
    options = parser.parse_args(arguments)
    build()
    if options.docs:
        make_docs()
    elif options.out is None:
        sys.stdout.write(address(options.names, dark=options.dark) + "\n")
    else:
        look = {"dark": options.dark, "width": options.width}
        take_pictures(options.out, options.names, **look)


if __name__ == "__main__":
    main(sys.argv[1:])
