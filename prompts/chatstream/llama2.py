"""The prompt of Llama 2 chat, in ChatStream's text and as exact segments.

The text is one line of turns, ``<s>[INST] request [/INST] reply </s>``, the system text inside the
first request. An empty reply keeps its marks: it is an answer without text.
"""

from typing import ClassVar

from turnstream.prompts.chatstream.chat_prompt import AbstractChatPrompt
from turnstream.prompts.chatstream.options import PromptOptions
from turnstream.prompts.chatstream.role_type import RoleType
from turnstream.prompts.control_strings import CONTROL_STRINGS
from turnstream.prompts.llama2 import END_INST, INST, SYSTEM_PROMPT, system_head
from turnstream.prompts.segments import BOS, Segment, join


class ChatPromptMetaLlamaLlama2Chat(AbstractChatPrompt):
    """A conversation with Llama 2 chat or a model tuned on the same format."""

    special_tokens: ClassVar[tuple[str, ...]] = ("<s>", "</s>", "<unk>")
    control_strings: ClassVar[tuple[str, ...]] = CONTROL_STRINGS

    def __init__(self) -> None:
        super().__init__()
        self.set_system_prompt(SYSTEM_PROMPT)

    def set_system_prompt(self, text: str | None) -> None:
        """Set the system text; None is no system text.

        Raises:
            ControlStringError: the text forges marks; the former text stays.
        """
        if text is None:
            self.set_system(f"{BOS}{INST}")
            return
        self.check_text(text)
        self.set_system(f"{BOS}{system_head(text)}")

    def create_prompt_segments(self, opts: PromptOptions | None = None) -> list[Segment]:
        """Cut the prompt after each reply; the last segment waits for one."""
        if not self.chat_mode:
            return [Segment(self.get_requester_last_msg() or "", bos=False, eos=False)]
        finished: list[Segment] = []
        bos, text = self.system.startswith(BOS), self.system.removeprefix(BOS)
        for content in self.get_contents(opts):
            match content.role_type, content.message:
                case RoleType.REQUESTER, str(request):
                    text += request + END_INST
                case RoleType.RESPONDER, str(reply):
                    finished.append(Segment(f"{text}{reply} ", bos=bos, eos=True))
                    bos, text = True, INST
        return [*finished, Segment(text, bos=bos, eos=False)]

    def create_prompt(self, opts: PromptOptions | None = None) -> str:
        """Write the conversation as the one text ChatStream gives to its tokenizer."""
        return join(self.create_prompt_segments(opts))

    def build_initial_prompt(self, chat_prompt: AbstractChatPrompt) -> None:
        """Begin with no message but the system text."""

    def get_stop_strs(self) -> list[str] | None:
        """Name no stop string: a reply ends with EOS."""
        return [] if self.chat_mode else None

    def get_custom_skip_echo_len(self, skip_echo_len: int) -> int:
        """Add one character per turn from the second turn on, as ChatStream does.

        One too many after any open prompt; see ``docs/echo-drift.md`` for when that shows.
        """
        turn = self.get_turn()
        return skip_echo_len + turn if turn >= 2 else skip_echo_len
