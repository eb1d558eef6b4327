"""Simulate many cells: how evenly owners fall on them, and what changes when one is added or lost.

A cell is one Redis with its nodes and workers. The router sends a connection to the cell of its
owner: the one with the highest hash of owner and cell (rendezvous hashing), so that a new cell
takes its share from all others and nothing else moves. No Redis is run here.
"""

import argparse
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

#: Sockets in all, cells, and owners; owners differ in size as words differ in frequency.
SOCKETS, CELLS, OWNERS = 1_000_000, 100, 200_000
#: The exponent of that (Zipf): 1 is that of words, 0 makes all owners equal.
SKEW = 0.8
#: Share of all sockets that one owner has, in the last row.
HOT_SHARE = 0.03

Hashes = NDArray[np.uint64]


def hashes(names: Iterable[str]) -> Hashes:
    """Return a hash of 64 bits of each name."""
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(each, "big") for each in digests], dtype=np.uint64)


def cells_of(owners: Hashes, cells: Hashes) -> NDArray[np.int64]:
    """Return the number of each owner's cell: that with the highest mixed hash."""
    best = np.zeros(len(owners), dtype=np.uint64)
    chosen = np.zeros(len(owners), dtype=np.int64)
    for number, cell in enumerate(cells):
        weight = mixed(owners ^ cell)
        higher = weight > best
        best[higher], chosen[higher] = weight[higher], number
    return chosen


def mixed(values: Hashes) -> Hashes:
    """Return values that each depend on all bits of the given one, as SplitMix64 ends."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def sockets_of(owners: int, sockets: int, hot_share: float = 0.0) -> NDArray[np.float64]:
    """Return how many sockets each owner has; the first may have a share of all by itself."""
    sizes = np.arange(1, owners + 1, dtype=np.float64) ** -SKEW
    sizes *= sockets * (1 - hot_share) / sizes.sum()
    if hot_share:
        sizes[0] = sockets * hot_share
    return sizes


def loads(chosen: NDArray[np.int64], sizes: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Return the sockets of each cell."""
    return np.bincount(chosen, weights=sizes, minlength=cells)


def row(name: str, load: NDArray[np.float64], moved: float) -> str:
    """Return a row of the table."""
    ordered = np.sort(load)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    return (
        f"| {name} | {load.mean():,.0f} | {p99 / load.mean():.2f} | "
        f"{load.max() / load.mean():.2f} | {moved:.1%} |"
    )


def table(sockets: int, cells: int, owners: int) -> Sequence[str]:
    """Return the rows of docs/scaling.md."""
    owner_hashes = hashes(f"owner-{number}" for number in range(owners))
    cell_hashes = hashes(f"cell-{number}" for number in range(cells + 1))
    sizes = sockets_of(owners, sockets)
    chosen = cells_of(owner_hashes, cell_hashes[:cells])
    grown = cells_of(owner_hashes, cell_hashes)
    lost = cells_of(owner_hashes, cell_hashes[: cells - 1])

    def moved(after: NDArray[np.int64]) -> float:
        return float(sizes[after != chosen].sum() / sizes.sum())

    hot = sockets_of(owners, sockets, HOT_SHARE)
    pinned = chosen.copy()
    pinned[0] = cells
    plain = hash_modulo(owner_hashes, cells), hash_modulo(owner_hashes, cells + 1)
    modulo_moved = float(sizes[plain[0] != plain[1]].sum() / sizes.sum())
    return [
        row(f"{cells} cells", loads(chosen, sizes, cells), 0.0),
        row("one added", loads(grown, sizes, cells + 1), moved(grown)),
        row("one lost", loads(lost, sizes, cells - 1), moved(lost)),
        row("one added, by hash modulo cells", loads(plain[1], sizes, cells + 1), modulo_moved),
        row(f"an owner with {HOT_SHARE:.0%} of all sockets", loads(chosen, hot, cells), 0.0),
        row(
            "… on a cell of its own",
            loads(pinned, hot, cells + 1)[:cells],
            float(hot[0] / hot.sum()),
        ),
    ]


def hash_modulo(owners: Hashes, cells: int) -> NDArray[np.int64]:
    """Return each owner's cell as a router without rendezvous hashing chooses it."""
    return (owners % np.uint64(cells)).astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=SOCKETS)
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--owners", type=int, default=OWNERS)
    given = parser.parse_args()
    print("| | sockets of a cell, mean | p99 / mean | most / mean | sockets that move |")
    print("|---|---:|---:|---:|---:|")
    print("\n".join(table(given.sockets, given.cells, given.owners)))


if __name__ == "__main__":
    main()
