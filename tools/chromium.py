"""Finds a Chromium for the browser tests, and installs one where there is none.

    python tools/chromium.py            print where it is; exit code 1 if there is none
    python tools/chromium.py --install  the same, after trying to get one

The order: the one named in AGENT_RUNTIME_CHROMIUM, the system's, one from the system's
packages (Debian and Ubuntu, as root), Playwright's own. The tests call `find_chromium`
and skip with `NO_CHROMIUM` if it gives nothing; under CI=true that is an error.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NO_CHROMIUM = (
    "no Chromium: none on PATH, and none could be installed from the system's packages "
    "or by Playwright. Install one, or name it in AGENT_RUNTIME_CHROMIUM."
)
VARIABLE = "AGENT_RUNTIME_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def runs(path: str) -> bool:
    """Whether this is a Chromium that starts; Ubuntu has a stand-in that does not."""
    try:
        result = subprocess.run(
            [path, "--version"], check=False, capture_output=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def playwrights_own() -> str | None:
    """Where Playwright keeps its Chromium, if it has installed one."""
    probe = (
        "from playwright.sync_api import sync_playwright as start\n"
        "with start() as p: print(p.chromium.executable_path)"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], check=False, capture_output=True, text=True
    )
    path = result.stdout.strip()
    return path if path and Path(path).is_file() else None


def find_chromium() -> str | None:
    """The path of a Chromium that can be started, or None.

    Raises:
        FileNotFoundError: AGENT_RUNTIME_CHROMIUM names something that does not start.
    """
    if named := os.environ.get(VARIABLE):
        if runs(named):
            return named
        raise FileNotFoundError(f"{VARIABLE} names no Chromium that starts: {named}")
    on_path = [path for name in NAMES if (path := shutil.which(name))]
    for path in [*on_path, *APPLICATIONS]:
        if runs(path):
            return path
    return playwrights_own()


def install_from_system() -> None:
    """Ask the system's packages, where this may be done without a question."""
    apt = shutil.which("apt-get")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not (is_root and apt):
        return
    print("chromium: installing it from the system's packages", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-q", "-y", "chromium"]):
        subprocess.run(
            [apt, *arguments], check=False, env=environment, stdout=sys.stderr
        )


def install_by_playwright() -> None:
    """Let Playwright fetch its own build."""
    print("chromium: installing Playwright's own", file=sys.stderr)
    subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"],
        check=False,
        stdout=sys.stderr,
    )


def get_chromium() -> str | None:
    """A Chromium, installed if need be; None if every way failed."""
    for install in (None, install_from_system, install_by_playwright):
        if install is not None:
            install()
        if found := find_chromium():
            return found
    return None


def main(arguments: list[str]) -> int:
    """Print the path or the reason; return the exit code."""
    try:
        found = get_chromium() if "--install" in arguments else find_chromium()
    except FileNotFoundError as error:
        print(f"chromium: {error}", file=sys.stderr)
        return 1
    print(found or NO_CHROMIUM, file=sys.stdout if found else sys.stderr)
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
