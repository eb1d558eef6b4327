"""Holds conversations through LangChain's ChatOpenAI and prints the answers as JSON, by protocol.

Run with OPENAI_BASE_URL, OPENAI_API_KEY and the protocols: `chat`, `responses` or both.
"""

import json
import sys
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAI


def director_of(film: str) -> str:
    """Look up who directed a film."""
    return f"nobody directed {film}"


TITANIC = HumanMessage("Do you know the movie Titanic?")
DIRECTOR = HumanMessage("Who is the director of the movie?")


def main() -> None:
    protocols = sys.argv[1:]
    print(json.dumps({name: talk(responses=name == "responses") for name in protocols}))


def talk(*, responses: bool) -> dict[str, Any]:
    """Return the answers of whole, streamed, continued and stopped calls."""
    model = ChatOpenAI(model="demo", temperature=0, use_responses_api=responses)
    answers: dict[str, Any] = {}

    first = model.invoke([TITANIC])
    assert isinstance(first, AIMessage)
    answers["chat"] = first.text
    answers["tokens"] = first.usage_metadata["output_tokens"] if first.usage_metadata else 0

    chunks = list(model.stream([TITANIC]))
    answers["stream"] = "".join(chunk.text for chunk in chunks)
    answers["pieces"] = sum(bool(chunk.text) for chunk in chunks)
    answers["system"] = model.invoke([SystemMessage("Be brief."), TITANIC]).text

    answers["continue"] = model.invoke([TITANIC, first, DIRECTOR]).text
    if responses:
        by_id = model.bind(previous_response_id=first.response_metadata["id"])
        answers["continue_by_id"] = by_id.invoke([DIRECTOR]).text

    # The model calls no tools; offering some must not fail.
    answers["tools"] = model.bind_tools([director_of]).invoke([TITANIC]).text

    # Another model, which called a tool, began this conversation.
    call = {"name": "director_of", "args": {"film": "Titanic"}, "id": "c1"}
    elsewhere = [
        AIMessage("Hello, what is [INST]?"),
        DIRECTOR,
        AIMessage("", tool_calls=[call]),
        ToolMessage("James Cameron", tool_call_id="c1"),
    ]
    answers["output"] = model.invoke(elsewhere).text
    answers["elsewhere"] = model.invoke([*elsewhere, AIMessage("James Cameron."), TITANIC]).text

    # Its older class sends raw prompts, several in one request.
    raw = OpenAI(model="demo", temperature=0, max_tokens=12)
    answers["raw"] = [
        found[0].text for found in raw.generate(["Once upon a time", "The"]).generations
    ]
    answers["raw_stream"] = "".join(raw.stream("Once upon a time"))

    long = ChatOpenAI(
        model="demo", temperature=0, use_responses_api=responses, max_completion_tokens=1500
    )
    answers["stop"] = some_of(long, 5)
    answers["after"] = model.invoke("Hello").text
    return answers


def some_of(model: ChatOpenAI, most: int) -> str:
    """Read the first `most` chunks with text, then close the stream."""
    pieces: list[str] = []
    stream = model.stream("Write a long story.")
    for chunk in stream:
        message: BaseMessage = chunk
        pieces += [message.text] if message.text else []
        if len(pieces) == most:
            break
    stream.close()
    return "".join(pieces)


if __name__ == "__main__":
    main()
