"""Stores beside the output which batch a run waits for, so that the next run continues with it."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path


class OtherRun(Exception):
    """The state belongs to a run with other options; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of a run; a run that continues it must have the same."""

    input_sha256: str
    endpoint: str
    window: str
    #: The URL of the service, or `local`.
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The progress of a run."""

    asked: Asked
    #: Idempotency key of the batch.
    key: str
    file_id: str | None = None
    batch_id: str | None = None


class StateFile:
    """The file `OUT.batch`; earlier versions wrote it as `OUT.job`, which is renamed."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(out.name + ".batch")
        former = out.with_name(out.name + ".job")
        if former.exists() and not self.path.exists():
            former.replace(self.path)

    def open(self, asked: Asked) -> State:
        """Return the state of an earlier run, or save a new one.

        Raises:
            OtherRun: that run had other options, or its state cannot be read.
        """
        begun = State(asked=asked, key=secrets.token_hex(16))
        try:
            left = json.loads(self.path.read_text())
        except FileNotFoundError:
            return self.save(begun)
        except ValueError as exc:
            raise OtherRun(f"{self.path} cannot be read; remove it to start again") from exc
        state = State(**left | {"asked": Asked(**left["asked"])})
        if state.asked != asked:
            different = next(
                name
                for name in asked.__slots__
                if getattr(asked, name) != getattr(state.asked, name)
            )
            raise OtherRun(
                f"{self.path} belongs to a run with another {different.replace('_', ' ')};"
                " remove it to start again"
            )
        return state

    def save(self, state: State, **fields: str | None) -> State:
        """Write the state with changed fields; return it."""
        state = replace(state, **fields)  # type: ignore[arg-type]
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(json.dumps(asdict(state)))
        part.replace(self.path)
        return state

    def remove(self) -> None:
        """Remove the file, because the run is complete."""
        self.path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
