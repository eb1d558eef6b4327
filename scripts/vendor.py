"""Fetches the libraries that the page ships from npm, at pinned versions and with their licences.

python -m scripts.vendor

A file is written only if it is the one that was read and pinned here; tests/scripts/test_vendor.py
compares what lies in the tree. To take a new version, change the pin, read the new file, and enter
the hashes that the script reports.
"""

import hashlib
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parents[1] / "ws_server" / "static" / "vendor"


@dataclass(frozen=True, slots=True)
class VendoredFile:
    """One file of a package."""

    #: Where it is in the package.
    source: str
    #: Its name in `FOLDER`.
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Package:
    """A package of npm."""

    name: str
    version: str
    files: tuple[VendoredFile, ...]


PACKAGES = (
    # Reads Markdown into tokens. The page makes its own elements of these, so no HTML is written.
    Package(
        "marked",
        "18.2.1",
        (
            VendoredFile(
                "lib/marked.esm.js",
                "marked.esm.js",
                "5371fea86fd0656b4fc7bea7c94c663109d82789b69433eeee78d42895aa44de",
            ),
            VendoredFile(
                "LICENSE",
                "marked.LICENSE",
                "8e3a3f82f59a60958f56ca08f445647c32a4733dc7ca6c2c46f6eb898471ab9c",
            ),
        ),
    ),
)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for package in PACKAGES:
        with TemporaryDirectory() as folder:
            for file, content in _fetch(package, Path(folder)):
                found = hashlib.sha256(content).hexdigest()
                if found != file.sha256:
                    sys.exit(f"{package.name} {package.version}: {file.source} has SHA-256 {found}")
                (FOLDER / file.name).write_bytes(content)


def _fetch(package: Package, folder: Path) -> list[tuple[VendoredFile, bytes]]:
    """Return the package's files with what npm has of them."""
    wanted = f"{package.name}@{package.version}"
    subprocess.run(["npm", "pack", "--silent", wanted], cwd=folder, check=True, stdout=sys.stderr)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as tar:
        fetched = []
        for file in package.files:
            member = tar.extractfile(f"package/{file.source}")
            if member is None:
                sys.exit(f"{wanted} has no file {file.source}")
            fetched.append((file, member.read()))
    return fetched


if __name__ == "__main__":
    main()
