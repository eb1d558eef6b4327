"""A conversation that can be rendered for a model; subclasses know one model's format.

The method names are ChatStream's, so a prompt class written for it needs only another import.
Messages are distinguished by ``RoleType``, never by role name: in many formats both are empty.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from turnstream.prompts.chatstream.content import ChatContent
from turnstream.prompts.chatstream.options import PromptOptions
from turnstream.prompts.chatstream.role_type import RoleType
from turnstream.prompts.control_strings import check_text, neutralise
from turnstream.prompts.prompt_ids import PromptEncoder, PromptIds, fit
from turnstream.prompts.segments import Segment, exact_echo_len

#: Pairs of (what to look for, what to put there), applied one pair after the other.
Replacements = Sequence[tuple[str, str]]

#: Layout of ``to_dict``; raised whenever an older reader would misread a newer one.
FORMAT_VERSION = 1


class AbstractChatPrompt(ABC):
    """The history of one conversation, and how to turn it into a prompt."""

    #: Strings that end up as control tokens, so that decoding does not print them.
    special_tokens: ClassVar[tuple[str, ...]] = ()
    #: Strings that requests must not hold and that replies are rid of.
    control_strings: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.system = ""
        self.requester = ""
        self.responder = ""
        self._chat_mode = True
        self._contents: list[ChatContent] = []

    # What a format decides

    @abstractmethod
    def create_prompt(self, opts: PromptOptions | None = None) -> str:
        """Write the conversation as one text, control tokens spelled out."""

    @abstractmethod
    def build_initial_prompt(self, chat_prompt: "AbstractChatPrompt") -> None:
        """Put messages in front of a new conversation; called once, when it begins."""

    def create_prompt_segments(self, opts: PromptOptions | None = None) -> list[Segment]:
        """Cut the prompt where its control tokens are; a plain format has none."""
        return [Segment(self.create_prompt(opts), bos=False, eos=False)]

    def get_stop_strs(self) -> list[str] | None:
        """Name the strings that end a reply beside the EOS token."""
        return None

    def get_replacement_when_input(self) -> Replacements | None:
        """Name what to replace in requests before they are stored."""
        return None

    def get_replacement_when_output(self) -> Replacements | None:
        """Name what to replace in replies before they are shown."""
        return None

    def get_custom_skip_echo_len(self, skip_echo_len: int) -> int:
        """Adjust the length of the echo for a tokenizer that does not give back what it got."""
        return skip_echo_len

    # Settings

    @property
    def chat_mode(self) -> bool:
        """False when the last request is to be completed as it stands, without a format."""
        return self._chat_mode

    def set_chat_mode_enabled(self, enabled: bool) -> None:
        """Choose between chat and plain completion."""
        self._chat_mode = enabled

    def set_system(self, system: str) -> None:
        """Set the raw head of the prompt, marks and all; it is trusted as it stands."""
        self.system = system

    def set_requester(self, requester: str) -> None:
        """Set the name printed before requests."""
        self.requester = requester

    def set_responder(self, responder: str) -> None:
        """Set the name printed before replies."""
        self.responder = responder

    # History

    def check_text(self, text: str) -> None:
        """Refuse text that holds one of the format's control strings (`ControlStringError`)."""
        check_text(text, self.control_strings)

    def add_requester_msg(
        self,
        message: str,
        *,
        message_id: str | None = None,
        child_messages: Sequence[str] = (),
    ) -> None:
        """Add a request.

        Raises:
            ControlStringError: in chat mode, for text that forges marks; nothing is added.
        """
        for old, new in self.get_replacement_when_input() or ():
            message = message.replace(old, new)
        if self.chat_mode:
            for text in (message, *child_messages):
                self.check_text(text)
        self._contents.append(
            ChatContent(
                role_type=RoleType.REQUESTER,
                message=message,
                role=self.requester,
                message_id=message_id,
                child_messages=tuple(child_messages),
            )
        )

    def add_responder_msg(self, message: str | None, *, message_id: str | None = None) -> None:
        """Add a reply, its control strings neutralised; ``None`` keeps a place for one to come."""
        self._contents.append(
            ChatContent(
                role_type=RoleType.RESPONDER,
                message=self._reply(message),
                role=self.responder,
                message_id=message_id,
            )
        )

    def set_responder_last_msg(self, message: str | None) -> None:
        """Replace the reply at the end of the history (`LookupError` if there is none)."""
        last = self._last(RoleType.RESPONDER)
        self._contents[-1] = replace(last, message=self._reply(message))

    def set_responder_last_msg_id(self, message_id: str | None) -> None:
        """Give the reply at the end of the history an id (`LookupError` if there is none)."""
        self._contents[-1] = replace(self._last(RoleType.RESPONDER), message_id=message_id)

    def clear_last_responder_message(self) -> None:
        """Empty the last reply, to be generated again (`LookupError` if there is none)."""
        self.set_responder_last_msg(None)

    def remove_last_requester_msg(self) -> None:
        """Drop the request at the end of the history (`LookupError` if there is none)."""
        self._last(RoleType.REQUESTER)
        self._contents.pop()

    def remove_last_responder_msg(self) -> None:
        """Drop the reply at the end of the history (`LookupError` if there is none)."""
        self._last(RoleType.RESPONDER)
        self._contents.pop()

    def clear_history(self) -> None:
        """Forget every message; the system text stays."""
        self._contents.clear()

    def is_empty(self) -> bool:
        """Return whether there is no message yet."""
        return not self._contents

    def get_turn(self) -> int:
        """Count the requests in the history, whatever a rendering leaves out."""
        return len(_requests(self._contents))

    def get_prompt_turns(self, opts: PromptOptions | None = None) -> int:
        """Count the requests that a rendering with these options holds."""
        return len(_requests(self.get_contents(opts)))

    def get_requester_last_msg(self) -> str | None:
        """Answer the newest request, wherever it stands."""
        return self._newest(RoleType.REQUESTER)

    def get_responder_last_msg(self) -> str | None:
        """Answer the newest reply, wherever it stands; None also while it is still to come."""
        return self._newest(RoleType.RESPONDER)

    def find_chat_content_by_message_id(self, message_id: str) -> ChatContent | None:
        """Find a message by the id it was added with."""
        return next((c for c in self._contents if c.message_id == message_id), None)

    def get_contents(self, opts: PromptOptions | None = None) -> list[ChatContent]:
        """Answer the messages that a rendering with these options is made of, oldest first."""
        opts = opts or {}
        contents = list(self._contents)
        if (last_id := opts.get("to_message_id")) is not None:
            ids = [content.message_id for content in contents]
            if last_id in ids:
                contents = contents[: ids.index(last_id) + 1]
        if opts.get("omit_last_message") and contents:
            contents[-1] = replace(contents[-1], message=None)
        if (max_turns := opts.get("max_turns")) is not None:
            requests = _requests(contents)
            if max_turns < len(requests):
                contents = contents[requests[-max_turns] :] if max_turns > 0 else []
        return contents

    # Ids and lengths

    def create_prompt_ids(
        self, encode: Callable[[str], list[int]], opts: PromptOptions | None = None
    ) -> PromptIds:
        """Tokenise the prompt, each segment by itself and the control tokens as ids.

        Args:
            encode: text to ids, never adding control ids nor reading any from the text.

        Raises:
            PromptTooLong: more than ``max_prompt_tokens``, and nothing may or can be dropped.
        """
        opts = opts or {}
        turns = self.get_prompt_turns(opts)

        def segments_without(dropped: int) -> list[Segment]:
            segments = self.create_prompt_segments({**opts, "max_turns": turns - dropped})
            if self.chat_mode and not opts.get("keep_final_space"):
                segments[-1] = replace(segments[-1], text=segments[-1].text.removesuffix(" "))
            return segments

        may_drop = self.chat_mode and opts.get("truncation") == "auto"
        return fit(
            segments_without,
            PromptEncoder(encode, bos_id=opts.get("bos_id", 1), eos_id=opts.get("eos_id", 2)),
            droppable=max(0, turns - 1) if may_drop else 0,
            limit=opts.get("max_prompt_tokens"),
        )

    def get_skip_len(self, omit_last_message: bool = False) -> int:
        """Count the echo as ChatStream does: text without special tokens, then adjusted.

        Exact for one kind of tokenizer only; ``get_exact_skip_len`` is exact for all of them.
        """
        text = self.create_prompt({"omit_last_message": omit_last_message})
        for token in self.special_tokens:
            text = text.replace(token, "")
        return self.get_custom_skip_echo_len(len(text))

    def get_exact_skip_len(self, opts: PromptOptions | None = None) -> int:
        """Count the echo of the whole text, segment by segment, final space included."""
        return exact_echo_len(self.create_prompt_segments(opts))

    # Storage

    def to_dict(self) -> dict[str, Any]:
        """Describe settings and history in JSON types."""
        return {
            "v": FORMAT_VERSION,
            "system": self.system,
            "requester": self.requester,
            "responder": self.responder,
            "chat_mode": self._chat_mode,
            "contents": [content.to_dict() for content in self._contents],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild what ``to_dict`` described; what was checked then is not checked again.

        Raises:
            ValueError: the description is of another version.
        """
        if data["v"] != FORMAT_VERSION:
            raise ValueError(f"chat prompt of version {data['v']!r}; this is {FORMAT_VERSION}")
        prompt = cls()
        prompt.system = data["system"]
        prompt.requester = data["requester"]
        prompt.responder = data["responder"]
        prompt._chat_mode = data["chat_mode"]
        prompt._contents = [ChatContent.from_dict(content) for content in data["contents"]]
        return prompt

    def _reply(self, message: str | None) -> str | None:
        return None if message is None else neutralise(message, self.control_strings)

    def _last(self, role_type: RoleType) -> ChatContent:
        if not self._contents or self._contents[-1].role_type is not role_type:
            raise LookupError(f"the history does not end with a {role_type.value}'s message")
        return self._contents[-1]

    def _newest(self, role_type: RoleType) -> str | None:
        found = (c.message for c in reversed(self._contents) if c.role_type is role_type)
        return next(found, None)


def _requests(contents: Sequence[ChatContent]) -> list[int]:
    return [
        place
        for place, content in enumerate(contents)
        if content.role_type is RoleType.REQUESTER and content.message is not None
    ]
