"""Loads optional packages; a missing one is named with its extra."""

import importlib
from types import ModuleType

from agent_runtime_nb.exceptions import MissingExtra


def load(module: str, extra: str) -> ModuleType:
    """Import a module that needs the packages of an extra.

    Raises:
        MissingExtra: if a package that is not ours is missing; it names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        if missing == "agent_runtime_nb":
            raise
        raise MissingExtra(missing, extra) from error
