"""Check that the README shows what its main command prints, or write it there.

``example.py LOG`` compares the lines of the file LOG, all but the seconds, with the block under
``<!-- output: detect -->``; ``example.py LOG --write`` puts them there.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"(<!-- output: detect -->\n```text\n)(.*?)(```)", re.DOTALL)


def timeless(text: str) -> str:
    """Without what differs from run to run or from one terminal to another: seconds, q-values, line ends."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("seconds ")]
    return " ".join(re.sub(r"\bq [\d.e+-]+", "q", "\n".join(lines)).split())


def main(log: Path, write: bool) -> None:
    """Compare or write."""
    printed, readme = log.read_text(), README.read_text()
    found = BLOCK.search(readme)
    if found is None:
        raise SystemExit("README.md has no block under the marker 'output: detect'")
    if write:
        README.write_text(BLOCK.sub(lambda m: m[1] + printed.rstrip() + "\n" + m[3], readme))
    elif timeless(printed) != timeless(found[2]):
        raise SystemExit(f"README.md does not show what its main command prints:\n{printed}")
    else:
        print("README.md shows what was printed here, digest included.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--write" in sys.argv[2:])
