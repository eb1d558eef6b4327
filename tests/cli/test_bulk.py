"""The state that a bulk run stores, and the order of its results."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from turnstream.cli.bulk_output import sort_results
from turnstream.cli.bulk_state import Asked, OtherRun, StateFile
from turnstream.cli.chat.settings import ChatSettings

ASKED = Asked(input_sha256="abc", endpoint="/v1/responses", window="24h", server="local")


def test_a_second_run_reads_the_state_of_the_first_one(tmp_path: Path) -> None:
    first = StateFile(tmp_path / "out.jsonl")
    state = first.save(first.open(ASKED), file_id="file-1", batch_id="batch_1")

    assert StateFile(tmp_path / "out.jsonl").open(ASKED) == state


def test_the_idempotency_key_is_stored_before_the_first_request(tmp_path: Path) -> None:
    key = StateFile(tmp_path / "out.jsonl").open(ASKED).key

    assert StateFile(tmp_path / "out.jsonl").open(ASKED).key == key


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("input_sha256", "input sha256"),
        ("endpoint", "endpoint"),
        ("window", "window"),
        ("server", "server"),
    ],
)
def test_a_run_with_other_options_is_told_which_one_differs(
    tmp_path: Path, field: str, named: str
) -> None:
    StateFile(tmp_path / "out.jsonl").open(ASKED)

    with pytest.raises(OtherRun, match=f"another {named}"):
        StateFile(tmp_path / "out.jsonl").open(replace(ASKED, **{field: "other"}))


def test_the_state_file_of_an_earlier_version_is_used(tmp_path: Path) -> None:
    first = StateFile(tmp_path / "out.jsonl")
    state = first.open(ASKED)
    first.path.rename(tmp_path / "out.jsonl.job")

    assert StateFile(tmp_path / "out.jsonl").open(ASKED) == state


def test_a_state_that_cannot_be_read_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.batch").write_text("{")

    with pytest.raises(OtherRun, match="remove it"):
        StateFile(tmp_path / "out.jsonl").open(ASKED)


def test_results_are_sorted_in_the_order_of_their_requests(tmp_path: Path) -> None:
    def write(name: str, ids: list[str]) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps({"custom_id": id}) + "\n" for id in ids))
        return path

    requests = write("in", ["a", "é", "c", "d"])
    requests.write_text(requests.read_text() + "\n\n")
    unsorted = write("unsorted", ["d", "c", "é", "a"])
    sort_results(requests, unsorted, tmp_path / "out")

    ids = [json.loads(line)["custom_id"] for line in (tmp_path / "out").read_text().splitlines()]
    assert ids == ["a", "é", "c", "d"]


@pytest.mark.parametrize(
    ("url", "http"),
    [
        ("http://h:1", "http://h:1"),
        ("wss://h/v1/", "https://h"),
        ("https://h/base/v1", "https://h/base"),
    ],
)
def test_the_same_url_serves_chat_and_bulk(url: str, http: str) -> None:
    assert ChatSettings.read({"TURNSTREAM_URL": url}).http_url == http
