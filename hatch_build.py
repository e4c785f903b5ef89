"""The build hook: no wheel, sdist or editable install without the widgets' bundles."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FrontendBuildHook(BuildHookInterface[Any]):
    """Builds the bundles, where they are not there already (see tools/frontend.py)."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before the files are gathered; a failed build ends the packaging."""
        program = Path(self.root, "tools", "frontend.py")
        result = subprocess.run([sys.executable, str(program), "build"], check=False)
        if result.returncode != 0:
            raise SystemExit("The widgets could not be built; the reason is above.")
