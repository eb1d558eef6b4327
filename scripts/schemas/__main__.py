"""Writes the published schemas: what they say is in the types, never in the files.

python -m scripts.schemas            writes both files
python -m scripts.schemas --check    says whether they are as they would be written
"""

import argparse
import json
from pathlib import Path

import yaml

from scripts.schemas import asyncapi, openapi

ROOT = Path(__file__).parents[2]


def written() -> dict[Path, str]:
    """Give the text of each file."""
    socket = yaml.safe_dump(
        asyncapi.document(), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    return {
        ROOT / "docs" / "asyncapi.yaml": f"# Made by `python -m scripts.schemas`.\n{socket}",
        ROOT / "ws_server" / "openapi.json": json.dumps(openapi.document(), indent=1) + "\n",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.schemas", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    for file, text in written().items():
        if not check:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            raise SystemExit(f"{file.relative_to(ROOT)} is old: run python -m scripts.schemas")


if __name__ == "__main__":
    main()
