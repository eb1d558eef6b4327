"""Talks through LangChain's ChatOpenAI and prints, as JSON, what came of it.

Run with OPENAI_BASE_URL, OPENAI_API_KEY and `chat` or `responses`.
"""

import json
import sys
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI


def director_of(film: str) -> str:
    """Look up who directed a film."""
    return f"nobody directed {film}"


TITANIC = HumanMessage("Do you know the movie Titanic?")
DIRECTOR = HumanMessage("Who is the director of the movie?")


def main() -> None:
    print(json.dumps(talk(responses=sys.argv[1] == "responses")))


def talk(*, responses: bool) -> dict[str, Any]:
    """Chat, stream, go on and stop."""
    model = ChatOpenAI(model="demo", temperature=0, use_responses_api=responses)
    said: dict[str, Any] = {}

    first = model.invoke([TITANIC])
    assert isinstance(first, AIMessage)
    said["chat"] = first.text
    said["tokens"] = first.usage_metadata["output_tokens"] if first.usage_metadata else 0

    chunks = list(model.stream([TITANIC]))
    said["stream"] = "".join(chunk.text for chunk in chunks)
    said["pieces"] = sum(bool(chunk.text) for chunk in chunks)
    said["system"] = model.invoke([SystemMessage("Be brief."), TITANIC]).text

    said["continue"] = model.invoke([TITANIC, first, DIRECTOR]).text
    if responses:
        by_id = model.bind(previous_response_id=first.response_metadata["id"])
        said["continue_by_id"] = by_id.invoke([DIRECTOR]).text

    # The model calls no tools; that some are offered does no harm.
    said["tools"] = model.bind_tools([director_of]).invoke([TITANIC]).text

    # Another model, which called a tool, began this conversation.
    call = {"name": "director_of", "args": {"film": "Titanic"}, "id": "c1"}
    elsewhere = [
        AIMessage("Hello, what is [INST]?"),
        DIRECTOR,
        AIMessage("", tool_calls=[call]),
        ToolMessage("James Cameron", tool_call_id="c1"),
    ]
    said["output"] = model.invoke(elsewhere).text
    said["elsewhere"] = model.invoke([*elsewhere, AIMessage("James Cameron."), TITANIC]).text

    long = ChatOpenAI(
        model="demo", temperature=2, use_responses_api=responses, max_completion_tokens=1500
    )
    said["stop"] = some_of(long, 5)
    said["after"] = model.invoke("Hello").text
    return said


def some_of(model: ChatOpenAI, most: int) -> str:
    """Read so many pieces of an answer, then leave."""
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
