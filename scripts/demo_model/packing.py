"""Packs conversations into rows of tokens, several to a row, after a prefix that most share.

Most conversations begin with the same long system text, the head. It is computed once for a batch.
A conversation attends to the head and to itself, not to others in its row: the gradient is that of
one conversation per row, with a third of the tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from scripts.demo_model.corpus import Conversation
from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat
from turnstream.prompts.llama2 import SYS, SYSTEM_PROMPT

BOS_ID, EOS_ID = 1, 2
#: Label of a token that is not learnt.
IGNORED = -100

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class Example:
    """The tokens of one conversation."""

    ids: list[int]
    #: True for tokens of answers that are learnt.
    learnt: list[bool]


def prompt_of(conversation: Conversation) -> ChatPromptMetaLlamaLlama2Chat:
    """Return the prompt of a conversation without its last answer, as the service writes it."""
    prompt = ChatPromptMetaLlamaLlama2Chat()
    prompt.set_system_prompt(conversation.system.text)
    for number, turn in enumerate(conversation.turns):
        prompt.add_requester_msg(turn.question)
        last = number == len(conversation.turns) - 1
        prompt.add_responder_msg(None if last else turn.answer)
    return prompt


def example_of(conversation: Conversation, encode: Encode) -> Example:
    """Encode a conversation as the service does, and mark the tokens that are learnt.

    Answers in the history are learnt too, but not their ends: in the history a space precedes EOS,
    which a generated answer does not have.
    """
    prompt = prompt_of(conversation)
    segments = prompt.create_prompt_segments()
    ids = prompt.create_prompt_ids(encode).ids
    learnt = [False] * len(ids)
    start = 0
    for segment, turn in zip(segments[:-1], conversation.turns, strict=False):
        whole = encode(segment.text)
        asked = encode(segment.text[: -len(f" {turn.answer} ")])
        if turn.complete and whole[: len(asked)] == asked:
            first, end = start + 1 + len(asked), start + 1 + len(whole) - 1
            learnt[first:end] = [True] * (end - first)
        start += len(whole) + 2
    question = segments[-1].text.rstrip(" ")
    asked = encode(question)
    answer = encode(f"{question} {conversation.turns[-1].answer}")[len(asked) :]
    return Example(ids=[*ids, *answer, EOS_ID], learnt=[*learnt, *[True] * (len(answer) + 1)])


def head_of(encode: Encode) -> list[int]:
    """Return the tokens at the beginning of every conversation with the default system text.

    A text about tools may follow that, so the head ends with it.
    """
    # The line breaks after the system text are single bytes: no token spans them.
    return [BOS_ID, *encode(f"{SYS}{SYSTEM_PROMPT}")]


def shared_by(examples: Sequence[Example]) -> list[int]:
    """Return the tokens at the beginning of all examples, none of them learnt."""
    shared = 0
    while all(
        shared < len(example.ids)
        and not example.learnt[shared]
        and example.ids[shared] == examples[0].ids[shared]
        for example in examples
    ):
        shared += 1
    # Few lengths, as every new one costs preparation time.
    return examples[0].ids[: shared - shared % 16]


@dataclass(slots=True)
class _Row:
    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    under_head: list[bool] = field(default_factory=list)

    def add(self, example: Example, skipped: int) -> None:
        """Append an example from its token `skipped` on; the head replaces those before it."""
        ids = example.ids[skipped:]
        block = self.blocks[-1] + 1 if self.blocks else 0
        self.ids += ids
        self.labels += [
            id if learnt else IGNORED
            for id, learnt in zip(ids, example.learnt[skipped:], strict=True)
        ]
        self.positions += range(skipped, skipped + len(ids))
        self.blocks += [block] * len(ids)
        self.under_head += [skipped > 0] * len(ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of equal length, as tensors."""

    #: ``(1, head)`` int64.
    head: Tensor
    #: ``(rows, length)`` int64 each; the label of a token is the one that follows it.
    ids: Tensor
    positions: Tensor
    labels: Tensor
    #: ``(rows, 1, length, head + length)`` bool: the tokens that each token attends to.
    seen: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on another device."""
        return Batch(
            head=self.head.to(device),
            ids=self.ids.to(device),
            positions=self.positions.to(device),
            labels=self.labels.to(device),
            seen=self.seen.to(device),
        )

    def halves(self) -> "list[Batch]":
        """Split the rows into two batches, or one if there is one row."""
        middle = (len(self.ids) + 1) // 2
        parts = [slice(0, middle), slice(middle, None)]
        return [
            Batch(
                head=self.head,
                ids=self.ids[rows],
                positions=self.positions[rows],
                labels=self.labels[rows],
                seen=self.seen[rows],
            )
            for rows in parts[: len(self.ids)]
        ]


def pack(examples: Sequence[Example], head: Sequence[int], length: int) -> Batch:
    """Pack examples into rows by first fit; leave out examples that are longer than a row.

    Rows are padded to the same length in all batches, because every new shape costs a matrix
    library preparation time and memory.
    """
    rows: list[_Row] = []
    for example in sorted(examples, key=lambda example: -len(example.ids)):
        skipped = len(head) if example.ids[: len(head)] == head else 0
        size = len(example.ids) - skipped
        if size > length:
            continue
        fitting = (row for row in rows if len(row.ids) + size <= length)
        if (row := next(fitting, None)) is None:
            row = _Row()
            rows.append(row)
        row.add(example, skipped)

    def table(lists: Sequence[Sequence[int]], filler: int) -> Tensor:
        return torch.tensor([[*line, *[filler] * (length - len(line))] for line in lists])

    blocks = table([row.blocks for row in rows], -1)
    same = blocks[:, :, None] == blocks[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    under_head = table([row.under_head for row in rows], False)
    return Batch(
        head=torch.tensor([list(head)]),
        ids=table([row.ids for row in rows], 0),
        positions=table([row.positions for row in rows], 0),
        labels=table([[*row.labels[1:], IGNORED] for row in rows], IGNORED),
        seen=torch.cat([under_head[:, :, None].expand(-1, -1, len(head)), same & causal], dim=2)[
            :, None
        ],
    )


def hidden_states(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Run the head once and then all rows; return those of the rows, ``(rows, length, width)``."""
    after = model.model(batch.head, use_cache=True).past_key_values
    rows = len(batch.ids)
    for layer in after.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)
        layer.values = layer.values.expand(rows, -1, -1, -1)
    out = model.model(
        input_ids=batch.ids,
        position_ids=batch.positions,
        attention_mask=batch.seen,
        past_key_values=after,
    )
    hidden: Tensor = out.last_hidden_state
    return hidden
