"""The examples with tools: the demo model calls both functions, and ends in words."""

from pathlib import Path

from harness.service import Service
from tests.programs import example, run


def test_the_official_sdks_loop_calls_both_functions_and_ends_in_words(
    service: Service, client_python: Path, tmp_path: Path
) -> None:
    printed = run(client_python, example("tools.py", tmp_path, service.url))

    question, weather, add, said = printed.splitlines()
    assert question.startswith("> What is the weather in Paris")
    assert weather.startswith('get_weather({"location": "Paris"}) returned {"temperature": 22')
    assert add == 'add({"a": 17, "b": 25}) returned 42'
    assert said == "It is 22 degrees and sunny in Paris. 17 plus 25 is 42."


def test_an_agent_calls_both_tools_and_ends_in_words(
    service: Service, client_python: Path, tmp_path: Path
) -> None:
    printed = run(client_python, example("agents_tools.py", tmp_path, service.url))

    _, *calls, said = printed.splitlines()
    assert sorted(calls) == ["add(17, 25)", "get_weather('Paris')"]
    assert said == "It is sunny in Paris. 17 plus 25 is 42."
