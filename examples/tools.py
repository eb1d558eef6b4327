"""Functions that the model calls until it answers in words: pip install openai"""

import json
from collections.abc import Callable
from typing import Any

from openai import OpenAI
from openai.types.responses import FunctionToolParam


def get_weather(location: str) -> str:
    return json.dumps({"temperature": 22, "sky": "sunny"})


def add(a: float, b: float) -> str:
    return str(a + b)


FUNCTIONS: dict[str, Callable[..., str]] = {"get_weather": get_weather, "add": add}


def tool(name: str, description: str, **types: str) -> FunctionToolParam:
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": {key: {"type": kind} for key, kind in types.items()},
            "required": list(types),
            "additionalProperties": False,
        },
        "strict": True,
    }


TOOLS = [
    tool("get_weather", "Get the current weather.", location="string"),
    tool("add", "Add two numbers.", a="number", b="number"),
]

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
question = "What is the weather in Paris, and what is 17 plus 25?"
print(f"> {question}")
items: list[Any] = [{"role": "user", "content": question}]
while True:
    response = client.responses.create(model="demo", input=items, tools=TOOLS, temperature=0)
    items += response.output
    calls = [item for item in response.output if item.type == "function_call"]
    if not calls:
        break
    for call in calls:
        output = FUNCTIONS[call.name](**json.loads(call.arguments))
        print(f"{call.name}({call.arguments}) returned {output}")
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
print(response.output_text)
