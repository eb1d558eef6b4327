"""The file of conversations: small, private, and never in the way."""

import stat
from pathlib import Path

import pytest

from turnstream.cli.chat import saved
from turnstream.cli.chat.saved import CannotSave, SavedConversations


def put(file: SavedConversations, id: str, updated: float, title: str = "title") -> None:
    file.put(id=id, title=title, last=f"resp_{id}", updated=updated)


def test_the_latest_conversations_of_a_server_come_first(tmp_path: Path) -> None:
    file, other = SavedConversations(tmp_path, "a"), SavedConversations(tmp_path, "b")
    put(file, "1", 1)
    put(other, "2", 2)
    put(file, "3", 3)
    put(file, "1", 4, "changed")

    assert [(each.id, each.title) for each in file.all()] == [("1", "changed"), ("3", "title")]
    assert stat.S_IMODE((tmp_path / "conversations.json").stat().st_mode) == 0o600


def test_the_oldest_conversations_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "MOST", 2)
    file = SavedConversations(tmp_path, "a")
    for number in range(4):
        put(file, str(number), number)

    assert [each.id for each in file.all()] == ["3", "2"]


@pytest.mark.parametrize("content", ["{", "[1]", '[{"id": 1}]'])
def test_a_file_that_cannot_be_read_is_said_and_kept(tmp_path: Path, content: str) -> None:
    (tmp_path / "conversations.json").write_text(content)
    file = SavedConversations(tmp_path, "a")

    with pytest.raises(CannotSave, match="remove it to start again"):
        put(file, "1", 1)
    assert (tmp_path / "conversations.json").read_text() == content


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotSave, match="No such file"):
        put(SavedConversations(tmp_path / "gone", "a"), "1", 1)
