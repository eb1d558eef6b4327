"""Remembers, beside the output, which batch it comes from: started again, a run goes on with it."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path


class OtherRun(Exception):
    """The file beside the output is of another run; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a run was asked for; another run with the same output must be asked the same."""

    input_sha256: str
    endpoint: str
    window: str
    #: Where the batch is: a URL, or `local`.
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a run came."""

    asked: Asked
    #: Makes the batch once, however often it is asked for.
    key: str
    file_id: str | None = None
    batch_id: str | None = None


class StateFile:
    """`OUT.batch`; one that an earlier version wrote as `OUT.job` is taken over."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(out.name + ".batch")
        former = out.with_name(out.name + ".job")
        if former.exists() and not self.path.exists():
            former.replace(self.path)

    def open(self, asked: Asked) -> State:
        """Read what an earlier run left, or begin anew.

        Raises:
            OtherRun: that run was asked for something else.
        """
        begun = State(asked=asked, key=secrets.token_hex(16))
        try:
            left = json.loads(self.path.read_text())
        except FileNotFoundError:
            return self.save(begun)
        except ValueError as exc:
            raise OtherRun(f"{self.path} can't be read; remove it to begin anew") from exc
        state = State(**left | {"asked": Asked(**left["asked"])})
        if state.asked != asked:
            different = next(
                name
                for name in asked.__slots__
                if getattr(asked, name) != getattr(state.asked, name)
            )
            raise OtherRun(
                f"{self.path} is of a run with another {different.replace('_', ' ')};"
                " remove it to begin anew"
            )
        return state

    def save(self, state: State, **fields: str | None) -> State:
        """Write what is known now."""
        state = replace(state, **fields)  # type: ignore[arg-type]
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(json.dumps(asdict(state)))
        part.replace(self.path)
        return state

    def remove(self) -> None:
        """The run is over."""
        self.path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file, in hex.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
