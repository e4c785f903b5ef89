"""Where a widget is shown in the notebook, so that these outputs can be changed later.

An output can be changed from the kernel at any time if it was published with a display
id. Measured in JupyterLab 4.6:

* an update lands whatever runs meanwhile and whichever thread sends it;
* an update of the output that holds a live view makes the view anew: the focus, a
  selection and the place in the text are lost. So what is kept beside a live view is
  an output of its own, and the live one is changed only to end it;
* a page that was loaded since the cell ran has forgotten the ids. There the front end
  changes its notebook itself, when it sees that a change has not arrived.
"""

import contextvars
import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeGuard, cast

from IPython.core.getipython import get_ipython

from agent_runtime_nb._base.untrusted_json import as_object

_MOST = 8
"""Outputs that are kept up to date; of more, the newest."""

Bundle: TypeAlias = Mapping[str, Any]
LocateCell: TypeAlias = Callable[[], tuple[str | None, str | None]]


class Publish(Protocol):
    """Sends an output, or with `update` what takes its place."""

    def __call__(
        self, data: Bundle, metadata: Bundle, name: str, *, update: bool
    ) -> None:
        """Send it; `name` is that of the display."""
        ...


def running_cell() -> tuple[str | None, str | None]:
    """The cell that runs, if the front end says which one it is, and which run it is."""
    shell = get_ipython()
    parent = cast("dict[str, Any]", shell.get_parent()) if _is_kernel(shell) else {}
    return (
        as_object(parent.get("metadata")).get("cellId"),
        as_object(parent.get("header")).get("msg_id"),
    )


def _is_kernel(shell: object) -> TypeGuard[Any]:
    return hasattr(shell, "get_parent")


def publish_in_notebook(
    data: Bundle, metadata: Bundle, name: str, *, update: bool
) -> None:
    """Send an output with a display id; without IPython nobody is there to see it."""
    shell: Any = get_ipython()
    if shell is None:
        return
    # Programs that run a notebook look only at what belongs to the cell that runs. That
    # is what a context without a past belongs to; ours belongs to the panel's cell.
    context = contextvars.Context() if update else contextvars.copy_context()
    transient = {"display_id": name}
    publish = shell.display_pub.publish
    context.run(publish, dict(data), dict(metadata), transient=transient, update=update)


@dataclass(frozen=True, slots=True)
class _Output:
    name: str
    cell: str | None
    run: str | None

    @property
    def copy(self) -> str:
        return f"{self.name}-copy"

    def is_gone_with(self, newer: "_Output") -> bool:
        """Whether a newer output of the same cell means that this one is away."""
        same = self.cell is not None and self.cell == newer.cell
        return same and self.run != newer.run


class Displays:
    """The outputs in which one widget was displayed.

    Running a cell again replaces what it displayed, where the front end says which cell
    it is; else an output that is gone is remembered until newer ones push it out.

    Args:
        publish: sends an output to the front end.
        locate_cell: gives the cell that runs, and which run of it this is, as far as is known.

    Attributes:
        mark: names this widget's outputs, in HTML classes and output metadata.
    """

    def __init__(
        self,
        publish: Publish = publish_in_notebook,
        locate_cell: LocateCell = running_cell,
    ) -> None:
        self.mark = f"arn-{secrets.token_hex(8)}"
        self._publish = publish
        self._locate_cell = locate_cell
        self._shown: list[_Output] = []
        self._counter = itertools.count(1)

    def __bool__(self) -> bool:
        return bool(self._shown)

    def show(
        self, live: Bundle, metadata: Bundle, copy: tuple[Bundle, Bundle] | None = None
    ) -> None:
        """Publish the widget, and beside it a copy if one is given; with metadata."""
        cell, run = self._locate_cell()
        output = _Output(f"{self.mark}-{next(self._counter)}", cell, run)
        self._shown = [one for one in self._shown if not one.is_gone_with(output)]
        self._shown = [*self._shown, output][-_MOST:]
        self._publish(live, metadata, output.name, update=False)
        if copy is not None:
            self._publish(*copy, output.copy, update=False)

    def replace(self, bundle: Bundle) -> None:
        """Put something in the place of the widget, everywhere."""
        for output in self._shown:
            self._publish(bundle, {}, output.name, update=True)

    def update_copy(self, bundle: Bundle, metadata: Bundle) -> None:
        """Put something in the place of the copies."""
        for output in self._shown:
            self._publish(bundle, metadata, output.copy, update=True)

    def forget(self) -> None:
        """Let what is shown be, from now on."""
        self._shown = []
