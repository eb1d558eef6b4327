"""Counts how often each way to cut off the echo gives a wrong reply, and draws docs/echo-drift.svg.

    python -m scripts.echo_drift_plot

It trains a small tokenizer like Llama 2's. Replies are compared without leading and trailing white
space, which favours the methods that lose some.
"""

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from harness import sentencepiece_model
from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import Slicer

CONVERSATIONS = 1000
PLOT = Path(__file__).parent.parent / "docs" / "echo-drift.svg"

ENGLISH = ["Hello there, how are you?", "I am fine.", "Who painted it?", "Is it finished?"]
SPACE_LED = [" Hello there", " It was finished", " The answer is 195", " I am fine"]
BARE = ["195", "はい。", "😀 fine", "それは", '"Hello"']
HOSTILE = ["say </s> please", "<s>hi</s>", "<unk>", "  outer ", "a</s>b</s>c"]
EMOJI = ["😀😁", "so 😀👩\u200d👧 yes", "はい😀😀", "👍🏽👍🏽"]

METHODS = {
    "base": "no adjustment",
    "base + turn": "+ turn (ChatStream)",
    "base + turn − 1": "+ turn − 1",
    "decoded prompt": "length of the decoded prompt",
    "bytes": "bytes of the new ids (turnstream)",
}
COLOURS = dict(zip(METHODS, ["#b9bec6", "#d1495b", "#edae49", "#7d8ca3", "#00798c"], strict=True))


@dataclass(frozen=True)
class Scene:
    """One group of bars of the plot."""

    title: str
    legacy: bool
    requests: Sequence[str]
    replies: Sequence[str]
    #: Compare the text that was shown token by token.
    streamed: bool = False


SCENES = [
    Scene("A space before every stretch · English", True, ENGLISH, SPACE_LED),
    Scene(
        "… the same · replies that begin with a digit, CJK, an emoji, a quote", True, ENGLISH, BARE
    ),
    Scene("… the same · users who type </s> and <s>", True, HOSTILE, SPACE_LED + BARE),
    Scene(
        "… the same · replies with emoji, shown token by token", True, ENGLISH, EMOJI, streamed=True
    ),
    Scene("A space before the first stretch only · English", False, ENGLISH, SPACE_LED),
]


def conversations(scene: Scene) -> Iterator[tuple[ChatPromptMetaLlamaLlama2Chat, str]]:
    """Yield random prompts, each with its reply; the title of the scene is the seed."""
    dice = random.Random(scene.title)
    for _ in range(CONVERSATIONS):
        prompt = ChatPromptMetaLlamaLlama2Chat()
        for _ in range(dice.randrange(8)):
            prompt.add_requester_msg(dice.choice(scene.requests))
            prompt.add_responder_msg(dice.choice(scene.replies).strip())
        prompt.add_requester_msg(dice.choice(scene.requests))
        prompt.add_responder_msg(None)
        yield prompt, dice.choice(scene.replies)


def begin(model: Any, reply: str) -> list[int]:
    """Return the ids of a reply, with a leading space only if the reply has one."""
    newline = model.encode("\n")
    ids: list[int] = model.encode("\n" + reply.removeprefix(" "))[len(newline) :]
    return [model.piece_to_id("\u2581"), *ids] if reply.startswith(" ") else ids


def shown(decode: Callable[[list[int]], str], prompt: list[int], new: list[int], skip: int) -> str:
    """Return the text that ChatStream shows: it decodes all ids and drops one final U+FFFD."""
    sent, before = "", ""
    for n in range(1, len(new) + 1):
        text = decode(prompt + new[:n])[skip:].removesuffix("\ufffd")
        sent, before = sent + text[len(before) :], text
    return sent


def failure_rates(scene: Scene, folder: Path) -> dict[str, float]:
    """Return the percentage of wrong replies of each method."""
    model = sentencepiece_model.processor(folder)
    tokenizer = sentencepiece_model.transformers_tokenizer(folder, legacy=scene.legacy)
    table = ByteTable.from_tokens(
        sentencepiece_model.tokens(model), sentencepiece_model.control_ids(model)
    )

    def decode(ids: list[int]) -> str:
        text: str = tokenizer.decode(ids, skip_special_tokens=True)
        return text

    wrong = dict.fromkeys(METHODS, 0)
    for prompt, reply in conversations(scene):
        whole = tokenizer(prompt.create_prompt())["input_ids"]
        new, turn = begin(model, reply), prompt.get_turn()
        adjusted = prompt.get_skip_len()
        base = adjusted - (turn if turn > 1 else 0)
        skips = [base, adjusted, base + turn - 1, len(decode(whole))]
        for method, skip in zip(METHODS, skips, strict=False):
            text = shown(decode, whole, new, skip) if scene.streamed else decode(whole + new)[skip:]
            wrong[method] += text.strip() != reply.strip()
        slicer = Slicer(table)
        text = "".join([slicer.feed([id]) for id in new]) + slicer.finish()
        wrong["bytes"] += text != reply.strip()
    return {method: 100 * count / CONVERSATIONS for method, count in wrong.items()}


def draw(results: dict[str, dict[str, float]]) -> str:
    """Return the plot as SVG."""
    left, width, bar, gap = 250, 380, 15, 46
    height = 44 + len(results) * (len(METHODS) * bar + gap)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}"'
        ' font-family="system-ui, sans-serif" font-size="12" fill="#1f2933">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="20" y="28" font-size="16" font-weight="600">'
        "Replies shown wrongly, % of 1,000 conversations of 1 to 8 turns</text>",
    ]
    y = 60
    for title, rates in results.items():
        lines.append(f'<text x="20" y="{y}" font-weight="600">{escape(title)}</text>')
        y += 8
        for method, rate in rates.items():
            lines += [
                f'<text x="{left - 10}" y="{y + 11}" text-anchor="end">{METHODS[method]}</text>',
                f'<rect x="{left}" y="{y + 1}" width="{max(1.0, rate / 100 * width):.1f}"'
                f' height="{bar - 3}" fill="{COLOURS[method]}"/>',
                f'<text x="{left + rate / 100 * width + 8:.1f}" y="{y + 11}">{rate:.1f}</text>',
            ]
            y += bar
        y += gap - 8
    return "\n".join([*lines, "</svg>", ""])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = sentencepiece_model.train(Path(name))
        results = {scene.title: failure_rates(scene, folder) for scene in SCENES}
    for title, rates in results.items():
        print(title)
        for method, rate in rates.items():
            print(f"  {METHODS[method]:<36}{rate:>6.1f} %")
    PLOT.write_text(draw(results), encoding="utf-8")
    print(f"wrote {PLOT}")


if __name__ == "__main__":
    main()
