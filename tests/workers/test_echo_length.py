"""The length of the echo, by the article's method and by segments."""

import pytest

from tests.prompts.chatstream.titanic import titanic
from tests.workers.echo_bench import Bench
from turnstream.prompts.chatstream.echo_cut import EchoCounts, EchoCut


def test_lengths_need_no_tokenizer() -> None:
    """ChatStream counts the control tokens as text until ``set_tokenizer`` was called."""
    prompt = titanic(3)

    assert len(prompt.create_prompt()) - prompt.get_skip_len() == 5 * 3 + 2 - 3
    assert prompt.get_skip_len() == 1139


@pytest.mark.parametrize("turns", range(1, 8))
def test_the_articles_figure_is_the_echo_of_a_closed_prompt(prefixing: Bench, turns: int) -> None:
    prompt = titanic(turns)
    prompt.set_responder_last_msg("So it is.")
    echo = len(prefixing.decode(prefixing.tokenizer(prompt.create_prompt())["input_ids"]))

    assert prompt.get_exact_skip_len() == echo
    assert prompt.get_skip_len() == (echo if turns > 1 else echo - 1)


@pytest.mark.parametrize("turns", range(1, 9))
def test_the_drift_of_an_open_prompt_is_one_less_than_its_turns(
    prefixing: Bench, plain: Bench, turns: int
) -> None:
    text, exact = titanic(turns).create_prompt(), titanic(turns).get_exact_skip_len()

    assert len(prefixing.decode(prefixing.tokenizer(text)["input_ids"])) == exact
    assert len(plain.decode(plain.tokenizer(text)["input_ids"])) == exact - (turns - 1)


@pytest.mark.parametrize("reply", [" Hello there .", "はい、 それは 195", " a\n\n  b \n"])
def test_the_slices_are_transformers_decode_without_its_echo(plain: Bench, reply: str) -> None:
    built = titanic(3).create_prompt_ids(plain.model.encode, {"keep_final_space": True})
    decoded = plain.decode(built.ids + plain.begin(reply))

    assert decoded.startswith(plain.decode(built.ids))
    assert plain.ours(titanic(3), reply) == decoded[len(plain.decode(built.ids)) :].lstrip()


def test_a_wrong_turn_adjusted_length_is_counted_and_not_used(prefixing: Bench) -> None:
    counts = EchoCounts()
    for turns in (1, 2, 3):
        prompt = titanic(turns)
        exact = prompt.get_exact_skip_len()
        echo = "x" * exact
        cut = EchoCut(prompt.get_skip_len(), exact_len=exact, counts=counts)
        assert cut.feed(echo) == ""
        assert cut.feed(echo + "195") == "195"

    assert counts == EchoCounts(turns=3, mismatches=2)


def test_without_an_exact_length_the_turn_adjusted_one_is_used() -> None:
    counts = EchoCounts()
    cut = EchoCut(3, exact_len=None, counts=counts, stop=["!"])

    assert [cut.feed(text) for text in ("ab", "abc", "abc d", "abc d!e")] == ["", "", "d", ""]
    assert cut.stopped
    assert counts == EchoCounts(turns=1, mismatches=0)
