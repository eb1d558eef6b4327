"""Owners on cells: what a router that follows docs/scaling.md does."""

import numpy as np

from scripts import simulate_cells
from scripts.simulate_cells import cells_of, hash_modulo, hashes, loads


def test_a_new_cell_takes_owners_from_all_others_and_moves_none_between_them() -> None:
    owners, cells = hashes(map(str, range(5_000))), hashes(f"cell {n}" for n in range(11))
    before, after = cells_of(owners, cells[:10]), cells_of(owners, cells)
    moved = before != after

    assert set(after[moved]) == {10}
    assert set(before[moved]) == set(range(10))
    assert 0.06 < moved.mean() < 0.13


def test_owners_of_one_size_fall_evenly_on_cells() -> None:
    chosen = cells_of(hashes(map(str, range(20_000))), hashes(f"cell {n}" for n in range(10)))

    load = loads(chosen, np.ones(20_000), 10)
    assert 0.9 < load.min() / load.mean() < load.max() / load.mean() < 1.1


def test_a_hash_modulo_the_number_of_cells_would_move_nearly_all() -> None:
    owners = hashes(map(str, range(5_000)))

    assert (hash_modulo(owners, 10) != hash_modulo(owners, 11)).mean() > 0.85


def test_the_table_has_a_row_for_each_case() -> None:
    assert len(simulate_cells.table(sockets=1_000, cells=5, owners=100)) == 6
