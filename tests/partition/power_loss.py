"""Runs a process on a disk that loses power, and finds what the disk has afterwards: see ``power_loss.c``."""

import os
import random
import shutil
import subprocess
from pathlib import Path

SECTOR = 512


def build(folder: Path) -> Path:
    """Compile what is preloaded."""
    library = folder / "power_loss.so"
    source = Path(__file__).with_name("power_loss.c")
    command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    return library


class Disk:
    """A folder as processes see it, and what of it is durable.

    A life of a process starts with everything durable; its end, by any means, is followed by a loss of power.
    """

    def __init__(self, library: Path, place: Path) -> None:
        self.library, self.place = library, place
        self.folder, self.durable = place / "cached-0", place / "durable-0"
        self.folder.mkdir()
        self._lives = 0

    def live(self, command: list[str], seed: int, calls: int) -> list[str]:
        """Run a process until it ends or makes a certain call to the disk; the whole lines that it said."""
        self.durable.mkdir()
        for path in self.folder.iterdir():
            number = path.stat().st_ino
            os.link(path, self.durable / f"{number}.cache")
            shutil.copyfile(path, self.durable / str(number))
        names = [f"{path.stat().st_ino} {path.name}\n" for path in self.folder.iterdir()]
        (self.durable / "names").write_text("".join(names))
        settings = {
            "LD_PRELOAD": str(self.library),
            "POWER_LOSS_FOLDER": str(self.folder),
            "POWER_LOSS_DISK": str(self.durable),
            "POWER_LOSS_CALLS": str(calls),
            "POWER_LOSS_SEED": str(seed),
        }
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, check=False)
        assert done.returncode in {0, -9}, done.stderr.decode()
        return done.stdout.decode().splitlines()

    def lose_power(self, draw: random.Random) -> None:
        """Keep what is durable, and what else had reached the disk by chance."""
        synced = {}
        for line in (self.durable / "names").read_text().splitlines():
            number, name = line.split(" ", 1)
            synced[name] = int(number)
        cached = {path.name: path.stat().st_ino for path in self.folder.iterdir()}
        self._lives += 1
        after = self.place / f"cached-{self._lives}"
        after.mkdir()
        for name in sorted(synced.keys() | cached.keys()):
            number = draw.choice([synced.get(name), cached.get(name)])
            if number is not None:
                (after / name).write_bytes(self._content(name, number, draw))
        shutil.rmtree(self.folder)
        shutil.rmtree(self.durable)
        self.folder, self.durable = after, self.place / f"durable-{self._lives}"

    def _content(self, name: str, number: int, draw: random.Random) -> bytes:
        """One file: whole sectors, each as synced or as last written."""
        kept = self.durable / str(number)
        link = self.durable / f"{number}.cache"
        old = kept.read_bytes() if kept.exists() else b""
        new = (link if link.exists() else self.folder / name).read_bytes()
        share = draw.choice([0.0, 0.5, 1.0])
        size = len(new) if draw.random() < share else len(old)
        content = bytearray(size)
        for at in range(0, size, SECTOR):
            # Beyond its end a version has nothing; a file that grew without its content has zeros there.
            version = new if draw.random() < share else old
            piece = version[at : min(at + SECTOR, size)]
            content[at : at + len(piece)] = piece
        return bytes(content)
