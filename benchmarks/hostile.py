"""Attacks a front end and, in the same run, bare Starlette on uvicorn's own protocols.

Every attack has servers of its own, because memory that one has used is used again by the next.
A row is added by an `Attack` in a file of `benchmarks/attacks/`. `--write` puts the table into
docs/security.md; `--only TEXT` runs the attacks whose name has it; `--peer COMMAND` compares with
another server, which listens on `$TURNSTREAM_PORT`.
"""

import argparse
import asyncio
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.attacks import burst, heads, held, idle, sockets, stopping, stored, uploads
from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import PATIENCE_SECONDS, Target
from benchmarks.processes import end_on_sigterm, python, redis_server, server

_ROOMS = (idle, heads, sockets, held, stored, stopping, uploads, burst)
ATTACKS = tuple(
    sorted((each for room in _ROOMS for each in room.ATTACKS), key=lambda each: each.row)
)
OURS = python("turnstream", "serve")
PEER = python("benchmarks.bare_server")
PAGE = Path(__file__).parents[1] / "docs" / "security.md"
_BEGIN, _END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

Figures = dict[Attack, float]


@contextmanager
def target(
    command: Sequence[str], directory: Path, redis_url: str, attack: Attack
) -> Iterator[Target]:
    """Run a server that is attacked once."""
    if attack.descriptors is not None:
        limited = f'ulimit -n {attack.descriptors}; exec "$@"'
        command = ("sh", "-c", limited, "sh", *command)
    with server(
        "target",
        *command,
        directory=directory,
        redis_url=redis_url,
        model="none",
        # Uploads stay with the run.
        environ={"TURNSTREAM_FILES": str(directory / "files")} | dict(attack.environ),
    ) as running:
        port = int(running.address.rpartition(":")[2])
        yield Target(running.process, port, redis_url, directory)


def measure(command: Sequence[str], attacks: Sequence[Attack], redis_url: str) -> Figures:
    """Run attacks at the same time against one server; return their figures."""

    async def run(victim: Target) -> list[float]:
        return await asyncio.gather(*(attack.run(victim) for attack in attacks))

    with (
        TemporaryDirectory() as name,
        target(command, Path(name), redis_url, attacks[0]) as victim,
    ):
        return dict(zip(attacks, asyncio.run(run(victim)), strict=True))


def table(ours: Figures, peer: Figures) -> str:
    """Write the figures as Markdown."""
    lines = ["| row | attack | turnstream | bare | promised |", "|---|---|---:|---:|---|"]
    for attack, figure in ours.items():
        figures = (_shown(attack, figure), _shown(attack, peer.get(attack)))
        cells = (attack.row, f"{attack.name}, {attack.unit}", *figures)
        mark = "" if attack.holds(figure, peer.get(attack)) else " **broken**"
        lines.append(f"| {' | '.join(cells)} | {attack.promise}{mark} |")
    return "\n".join(lines) + "\n"


def _shown(attack: Attack, figure: float | None) -> str:
    if figure is None:
        return "–"
    if attack.unit.startswith("s") and not attack.alone and figure >= PATIENCE_SECONDS:
        return f"> {PATIENCE_SECONDS:g}"
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.2g}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose name has this text")
    parser.add_argument("--peer", help="a command for the shell, instead of the bare server")
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    options = parser.parse_args()
    end_on_sigterm()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    other = PEER if options.peer is None else ("sh", "-c", f"exec {options.peer}")
    attacks = [attack for attack in ATTACKS if options.only in attack.name]
    together = [attack for attack in attacks if attack.waits]
    groups = [[attack] for attack in attacks if not attack.waits] + [together] * bool(together)
    ours: Figures = {}
    peer: Figures = {}
    for group in groups:
        with TemporaryDirectory() as name, redis_server(Path(name)) as url:
            ours |= measure(OURS, group, url)
            if compared := [attack for attack in group if not attack.alone]:
                peer |= measure(other, compared, url)
            # As it comes, since all of them take minutes.
            print(table({each: ours[each] for each in group}, peer), file=sys.stderr)
    ours = {attack: ours[attack] for attack in attacks}
    text = table(ours, peer)
    print(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(_BEGIN)
        page = before + _BEGIN + text + _END + rest.partition(_END)[2]
        PAGE.write_text(page, encoding="utf-8")
    return int(not all(attack.holds(figure, peer.get(attack)) for attack, figure in ours.items()))


if __name__ == "__main__":
    sys.exit(main())
