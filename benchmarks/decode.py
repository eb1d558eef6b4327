"""Decoding and validating a request of 20 messages, against `json.loads` of the same bytes.

`json.loads` only parses: it is the floor that any reader built on the standard library has.
"""

import json

from benchmarks.report import Row, in_rounds, median_ratio, report, wants_json
from turnstream.ws_server.create import read_create
from turnstream.ws_server.decode import decode, read_json
from turnstream.ws_server.requests import ResponseBody

MESSAGES = 20
REPEATS = 500
ROUNDS = 9


def request() -> bytes:
    """Return the JSON of a request: a conversation with content parts, and parameters."""
    question = "What is the weather like in the town today? " * 4
    roles = [("user", "input_text"), ("assistant", "output_text")] * (MESSAGES // 2)
    items = [{"role": role, "content": [{"type": part, "text": question}]} for role, part in roles]
    items[-1] = {"role": "user", "content": "And tomorrow?"}
    return json.dumps({"input": items, "temperature": 0.7, "metadata": {"a": "b"}}).encode()


def main() -> None:
    as_json = wants_json(__doc__ or "")
    text = request()

    def loads() -> None:
        for _ in range(REPEATS):
            json.loads(text)

    def decoded() -> None:
        for _ in range(REPEATS):
            decode(read_json(text), ResponseBody)

    def created() -> None:
        for _ in range(REPEATS):
            read_create(read_json(text))

    taken = in_rounds({"loads": loads, "decode": decoded, "create": created}, rounds=ROUNDS)
    rows = [
        Row(
            case=case,
            ours=min(taken[name]) / REPEATS * 1e6,
            theirs=min(taken["loads"]) / REPEATS * 1e6,
            unit="µs",
            against="json.loads of the same bytes",
            ratio=median_ratio(taken["loads"], taken[name]),
        )
        for case, name in (("decode_validate", "decode"), ("decode_to_create", "create"))
    ]
    report(rows, as_json)


if __name__ == "__main__":
    main()
