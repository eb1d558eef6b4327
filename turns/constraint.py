"""What an answer must look like: a grammar that travels in the turn's record.

The engine compiles it for its own vocabulary. A later attempt replays the ids in the log through
it, so an answer that another worker finishes is still one answer of the grammar.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Between the parts of a JSON text nothing is written: small models would write spaces for ever.
_COMPACT = {"whitespace_flexible": False}
#: A tokenizer of the Llama kind begins an answer with a space of its own, which readers never see.
_START = 'start: " "? answer\n'


@dataclass(frozen=True, slots=True)
class Constraint:
    """A grammar for the whole answer."""

    kind: Literal["json_schema", "regex", "lark"]
    #: The schema's JSON, the regular expression, or the Lark grammar with a rule `start`.
    text: str

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any]) -> "Constraint":
        """Return the constraint to JSON of a schema."""
        return cls("json_schema", json.dumps(schema, separators=(",", ":")))

    @classmethod
    def choice(cls, choices: Sequence[str]) -> "Constraint":
        """Return the constraint to one of some texts."""
        return cls(
            "lark", "start: " + " | ".join(json.dumps(each, ensure_ascii=False) for each in choices)
        )

    @property
    def grammar(self) -> str:
        """The grammar in llguidance's Lark, with an optional space before the answer."""
        match self.kind:
            case "json_schema":
                schema = json.loads(self.text)
                if isinstance(schema, dict):
                    schema = schema | {"x-guidance": _COMPACT | schema.get("x-guidance", {})}
                return f"{_START}answer: %json {json.dumps(schema)}\n"
            case "regex":
                return f"{_START}answer: PATTERN\nPATTERN: /{_as_lark_regex(self.text)}/\n"
            case "lark":
                return f"{_START}answer: %lark {{\n{self.text}\n}}\n"


def _as_lark_regex(pattern: str) -> str:
    """Escape what would end the expression in a line of Lark."""
    escaped = re.sub(r"(\\.)|/", lambda match: match[1] or r"\/", pattern, flags=re.DOTALL)
    return escaped.replace("\n", r"\n")
