"""Where tests and their servers keep their data: in memory, where the machine lets them.

A storage syncs each step of a test to its disk, which is most of what these tests wait
for. What a killed server leaves behind is the same: only the loss of the machine would
tell such a folder from one on a disk, and no test takes the machine away.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - a random name is made in it
_ENOUGH = 4 << 30  # for the log of a PostgreSQL, and its programs


def temporary_folders() -> Iterator[Path]:
    """Folders for temporary files, the best first."""
    # A container's may be small, or closed to programs.
    if (
        _MEMORY.is_dir()
        and os.access(_MEMORY, os.W_OK)
        and shutil.disk_usage(_MEMORY).free > _ENOUGH
        and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    ):
        yield _MEMORY
    yield Path(tempfile.gettempdir())
