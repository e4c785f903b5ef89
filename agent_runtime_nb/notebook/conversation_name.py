"""Which notebook this kernel runs."""

import os
import sys
from pathlib import PurePath, PureWindowsPath
from typing import Any

_SUFFIX = ".ipynb"


def conversation_of_notebook() -> str:
    """The name of a notebook's own conversation: the file's, else `main`."""
    path = os.environ.get("JPY_SESSION_NAME", "")  # Jupyter Server
    if not path.endswith(_SUFFIX):
        path = str(_user_namespace().get("__vsc_ipynb_file__", ""))  # VS Code
    if not path.endswith(_SUFFIX):
        return "main"
    kind = PureWindowsPath if "\\" in path else PurePath
    return kind(path).stem or "main"


def _user_namespace() -> dict[str, Any]:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return {} if shell is None else shell.user_ns
