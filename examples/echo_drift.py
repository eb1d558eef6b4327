"""Shows the echo drift, turn by turn, with any tokenizer that transformers can load.

    python -m examples.echo_drift path/to/tokenizer [--legacy | --no-legacy]

``--legacy`` and ``--no-legacy`` set the option of that name; the default is that of the files.
"""

import argparse
from typing import Any

from transformers import AutoTokenizer

from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat

TALK = [
    ("Who painted the ceiling?", "Michelangelo did."),
    ("When was it finished?", "It was finished in 1512."),
    ("And how long did it take?", "It took four years."),
    ("Where is it?", "In the Vatican."),
]
#: A reply whose first token has no leading space, so that a lost character is visible.
REPLY = "195"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Show the echo drift of a tokenizer.")
    parser.add_argument("folder", help="a folder with a tokenizer, or a model's name")
    parser.add_argument("--legacy", action=argparse.BooleanOptionalAction, default=None)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    options = {} if given.legacy is None else {"legacy": given.legacy}
    tokenizer: Any = AutoTokenizer.from_pretrained(given.folder, **options)

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    def decode(ids: list[int]) -> str:
        text: str = tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    drift = len(decode(encode("a</s><s>b"))) - len("ab")
    print(f"'a</s><s>b' comes back as {decode(encode('a</s><s>b'))!r}: drift {drift} per border\n")
    # The ids of the reply as a model generates it after the prompt.
    reply = encode("\n" + REPLY)[len(encode("\n")) :]
    print("turn  text  +turn  exact  echo(whole)  echo(segments)  cut at +turn  cut at exact")
    prompt = ChatPromptMetaLlamaLlama2Chat()
    for turn, (request, answer) in enumerate(TALK, start=1):
        prompt.add_requester_msg(request)
        adjusted, exact = prompt.get_skip_len(), prompt.get_exact_skip_len()
        text_len = sum(len(segment.text) for segment in prompt.create_prompt_segments())
        whole = encode(prompt.create_prompt())
        segments = prompt.create_prompt_ids(encode, {"keep_final_space": True}).ids
        print(
            f"{turn:>4}{text_len:>6}{adjusted:>7}{exact:>7}{len(decode(whole)):>13}"
            f"{len(decode(segments)):>16}"
            f"{decode(whole + reply)[adjusted:]!r:>14}{decode(segments + reply)[exact:]!r:>14}"
        )
        prompt.add_responder_msg(answer)


if __name__ == "__main__":
    main()
