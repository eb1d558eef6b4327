"""The states of an attempt at a turn, and how it gets from one to another.

| state      | engine has it | slot     | meaning                                                  |
|------------|---------------|----------|----------------------------------------------------------|
| CLAIMED    | not yet       | used     | The claim was made; the engine may take it any moment.   |
| RUNNING    | yes           | used     | The engine computes tokens.                              |
| CANCELLING | for a step    | used     | It was cancelled or steered, or a stop string was met.   |
| PREEMPTING | for a step    | used     | The slot is wanted for another turn.                     |
| REASSIGNED | for a step    | used     | As PREEMPTING; the turn for the slot is claimed already. |
| REQUEUING  | no            | pending  | Preempted; its last slice is not taken yet.              |
| REQUEUED   | no            | pending  | The requeue is being written.                            |
| ENDING     | no            | free     | The turn is over; its last events are not taken yet.     |
| ENDED      | no            | free     | The last events are being written.                       |
| DROPPING   | for a step    | used     | Another attempt has the turn: nothing more is written.   |
| DROPPED    | no            | free     | Nothing more is written, and the engine has left it.     |


A pending slot counts as used: Redis promises it to a waiting turn until the requeue is written, so
it would otherwise be assigned twice.
"""

from collections.abc import Mapping
from enum import StrEnum


class AttemptState(StrEnum):
    """Where an attempt stands; see the table above."""

    CLAIMED = "claimed"
    RUNNING = "running"
    CANCELLING = "cancelling"
    PREEMPTING = "preempting"
    REASSIGNED = "reassigned"
    REQUEUING = "requeuing"
    REQUEUED = "requeued"
    ENDING = "ending"
    ENDED = "ended"
    DROPPING = "dropping"
    DROPPED = "dropped"


class Transition(StrEnum):
    """What can happen to an attempt."""

    START = "start"
    CANCEL = "cancel"
    PREEMPT = "preempt"
    REASSIGN_SLOT = "reassign_slot"
    DROP = "drop"
    REFUSE = "refuse"
    ABANDON = "abandon"
    FINISH = "finish"
    #: The engine's finish was CANCELLED.
    LEAVE_ENGINE = "leave_engine"
    TAKE_LAST = "take_last"
    WRITE_LAST = "write_last"


_S = AttemptState
_WANTED = (_S.CLAIMED, _S.RUNNING, _S.CANCELLING, _S.PREEMPTING, _S.REASSIGNED)
#: The next state for each transition and state; a pair that is not listed changes nothing.
TRANSITIONS: Mapping[Transition, Mapping[AttemptState, AttemptState]] = {
    # In any later state the engine's handle is kept, and cancelled if the engine is to let go.
    Transition.START: {_S.CLAIMED: _S.RUNNING},
    # A preempted turn that is cancelled ends instead of being requeued. Once its requeue is being
    # written, it is for the next attempt to end it.
    Transition.CANCEL: {
        _S.CLAIMED: _S.CANCELLING,
        _S.RUNNING: _S.CANCELLING,
        _S.PREEMPTING: _S.CANCELLING,
        _S.REASSIGNED: _S.CANCELLING,
        _S.REQUEUING: _S.ENDING,
    },
    # The slot of a turn that is cancelled, dropped or over becomes free anyway.
    Transition.PREEMPT: {_S.CLAIMED: _S.PREEMPTING, _S.RUNNING: _S.PREEMPTING},
    Transition.REASSIGN_SLOT: {_S.PREEMPTING: _S.REASSIGNED},
    Transition.DROP: {
        **dict.fromkeys(_WANTED, _S.DROPPING),
        **dict.fromkeys((_S.REQUEUING, _S.REQUEUED, _S.ENDING, _S.ENDED), _S.DROPPED),
    },
    # The prompt or the engine refuses a turn before it starts; it never runs.
    Transition.REFUSE: {
        _S.CLAIMED: _S.ENDING,
        _S.CANCELLING: _S.ENDING,
        _S.PREEMPTING: _S.ENDING,
        _S.REASSIGNED: _S.ENDING,
        _S.DROPPING: _S.DROPPED,
    },
    # A dead engine takes no turn and calls no `on_step`.
    Transition.ABANDON: dict.fromkeys((*_WANTED, _S.DROPPING), _S.DROPPED),
    # The engine may be done with a turn before `submit` returns, so CLAIMED can finish too.
    Transition.FINISH: {**dict.fromkeys(_WANTED, _S.ENDING), _S.DROPPING: _S.DROPPED},
    # An engine that is stopped cancels all turns: another worker continues them from the log.
    Transition.LEAVE_ENGINE: {
        _S.CLAIMED: _S.DROPPED,
        _S.RUNNING: _S.DROPPED,
        _S.CANCELLING: _S.ENDING,
        _S.PREEMPTING: _S.REQUEUING,
        _S.REASSIGNED: _S.REQUEUING,
        _S.DROPPING: _S.DROPPED,
    },
    Transition.TAKE_LAST: {_S.ENDING: _S.ENDED, _S.REQUEUING: _S.REQUEUED},
    Transition.WRITE_LAST: {_S.REQUEUED: _S.DROPPED},
}
#: Another turn can have the slot.
SLOT_FREE = frozenset((_S.ENDING, _S.ENDED, _S.DROPPED))
#: The engine is to end the turn within a step.
TO_LEAVE_ENGINE = frozenset((_S.CANCELLING, _S.PREEMPTING, _S.REASSIGNED, _S.DROPPING))
#: The next events are the last.
LAST_TO_TAKE = frozenset((_S.ENDING, _S.REQUEUING))
#: No more events are made.
NOTHING_TO_TAKE = frozenset((_S.REQUEUED, _S.ENDED, _S.DROPPING, _S.DROPPED))
