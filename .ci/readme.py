"""Print a command of the README, so that what is run is what is written there.

``readme.py NAME`` prints the shell block that follows the line ``<!-- command: NAME -->``.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def command(name: str, text: str) -> str:
    """The block of shell under one marker."""
    found = re.search(rf"<!-- command: {re.escape(name)} -->\n```sh\n(.*?)```", text, re.DOTALL)
    if found is None:
        raise SystemExit(f"{README.name}: no shell block under the marker 'command: {name}'")
    return found.group(1)


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1], README.read_text()))
