"""Parts of the front end that are sent when it asks for them.

They are too large for a widget's own module, which every notebook carries, and few
conversations need them. Nothing is fetched from the web: they are in the package.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MODULES = Path(__file__).parent / "static" / "modules"
NAMES = frozenset({"highlight", "maths", "sanitise"})


class LazyModules:
    """Answers `module` messages of a front end.

    Args:
        post: sends one message to all front ends.
        folder: where the modules are.
    """

    def __init__(
        self, post: Callable[[dict[str, Any]], None], folder: Path = MODULES
    ) -> None:
        self._post = post
        self._folder = folder
        self.handlers = {"module": self._on_module}

    def _on_module(self, content: Mapping[str, Any]) -> None:
        name = str(content["name"])
        answer = {"type": "module", "name": name}
        if name not in NAMES:
            self._post({**answer, "error": "there is no such module"})
            return
        try:
            text = (self._folder / f"{name}.js").read_text(encoding="utf-8")
        except OSError as error:
            # Not built, or not readable: the page shows the plain form instead.
            self._post({**answer, "error": error.strerror or "cannot be read"})
            return
        self._post({**answer, "text": text})
