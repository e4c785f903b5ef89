"""Tells what Jupyter's front end complains about by itself from what we cause.

A complaint is one line of the console's errors with the address it came from in
brackets, or an uncaught error with its stack. Only words that are known pass, and only
from Jupyter's own code: an address of anybody else in it, such as the `blob:` of a
widget's module or an extension that loads and draws widgets, and it is one of ours.
"""

import re

_ADDRESS = re.compile(r"(?:https?|wss?|blob|data|file):[^\s)'\"]+")

# The code of the front ends without their extensions, and what only it connects to.
_OF_THE_FRONT_END = re.compile(
    r"http://[\w.]+:\d+/static/(?:lab|notebook)/"
    r"|ws://[\w.]+:\d+/api/kernels/[\w-]+/channels\b"
)

_EXPECTED = (
    # Notebook 7.6 says so of itself whenever it loads, with or without widgets.
    "TypeError: Cannot read properties of undefined (reading 'schema')",
    "Error: Command 'filebrowser:open-path' not registered.",
)

# What the front end asks a kernel for by itself (the state of the debugger, its info,
# its comms, a subshell for them) fails when the kernel is restarted, dies or is left
# meanwhile; the same is asked anew as soon as there is a kernel again.
_KERNEL_WENT = re.compile(
    r"Canceled future for \w+ message before replies were done"
    r"|Kernel connection (?:is disposed|disconnected)"
    # The socket of a kernel that is just being replaced; it is opened again.
    r"|WebSocket connection to '[^']+/channels[^']*' failed"
)

# A page that is left or loaded again takes its requests with it.
_PAGE_WENT = re.compile(r"TypeError: Failed to fetch\n +at ")


def is_jupyters_own(complaint: str) -> bool:
    """Whether Jupyter complains so by itself, at times or always, without our doing."""
    addresses = _ADDRESS.findall(complaint)
    if not all(map(_OF_THE_FRONT_END.match, addresses)):
        return False
    return (
        complaint.startswith(_EXPECTED)
        or _KERNEL_WENT.search(complaint) is not None
        or _PAGE_WENT.match(complaint) is not None
    )
