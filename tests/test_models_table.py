"""The table of models in the documentation is what marked tests say."""

import pytest

from scripts.models_table.cells import Cell, marked, table, written


def test_the_table_has_the_marked_cells_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # vLLM's tests want helpers rewritten that are imported here already.
    monkeypatch.setattr(pytest, "register_assert_rewrite", lambda *_: None)
    cells = marked()
    assert written() == table(cells)
    assert {cell.engine for cell in cells} == {"slot", "vllm"}


def test_two_tests_may_not_disagree() -> None:
    cells = [
        Cell(family="llama", weights="any", engine="slot", how=how, file="a.py")
        for how in ("run", "refused")
    ]
    with pytest.raises(ValueError, match="tests disagree about Cell"):
        table(cells)


def test_a_misspelled_cell_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a cell of the table"):
        Cell(family="llama", weights="any", engine="slots", how="run", file="a.py")
