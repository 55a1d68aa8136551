"""Check that the README shows what its main command prints: the digest, and how many agents were flagged."""

import json
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def main(results: Path) -> None:
    """Compare a result directory with the README."""
    result = json.loads((results / "result.json").read_text())
    text = README.read_text()
    for name, shown in (("digest", result["digest"]), ("flagged", f"{result['decision']['flagged']:,}")):
        if shown not in text:
            raise SystemExit(f"README.md does not show the {name} that its main command gives: {shown}")
    print("README.md shows the digest and the number of flagged agents that were computed here.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
