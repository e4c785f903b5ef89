"""The list of cases in the documentation; run as a module it writes it anew."""

import re
from pathlib import Path

from agent_runtime_nb.testing.storage_kit.cases import CASES

DOCUMENT = Path(__file__).parents[2] / "docs" / "storage-contract.md"
PLACE = re.compile(r"(?<=<!-- cases -->\n).*?(?=<!-- end of cases -->)", re.DOTALL)


def listed() -> str:
    """The list as it has to be."""
    rows = [
        f"| {case.number} | {case.name.replace('_', ' ')} | {case.sentence} |\n"
        for case in CASES
    ]
    return "\n| # | case | what it checks |\n|---|---|---|\n" + "".join(rows) + "\n"


def found() -> str:
    """The list as it is."""
    match = PLACE.search(DOCUMENT.read_text(encoding="utf-8"))
    return match[0] if match else ""


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(PLACE.sub(lambda _: listed(), text), encoding="utf-8")
