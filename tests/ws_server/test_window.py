"""The window never loses a line, submits one twice, or exceeds its size, whatever happens."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from turnstream.ws_server.batches import window
from turnstream.ws_server.batches.window import Line, Position, ReadLine, Window

MOST_PER_CALL = 3


def line(number: int) -> ReadLine[int]:
    return ReadLine(Line(position(number), f"turn {number}", f"c{number}"), number)


def position(number: int) -> Position:
    return Position(number, 10 * (number - 1))


class AnyRun(RuleBasedStateMachine):
    """A run in which the queue, the workers and the file act in any order."""

    @initialize(total=st.integers(0, 12), size=st.integers(1, 5))
    def begin(self, total: int, size: int) -> None:
        self.total, self.size = total, size
        self.window: Window[int] = Window(position(1), size=size, most_per_call=MOST_PER_CALL)
        self.now = 0.0
        self.unread = 1
        self.in_flight: set[int] = set()
        self.ended: set[int] = set()
        self.paused_until = 0.0

    @rule(data=st.data())
    def read_some(self, data: st.DataObject) -> None:
        count = self.window.lines_to_read(self.now)
        if count == 0:
            return
        most = min(count, self.total - self.unread + 1)
        lines = [line(self.unread + i) for i in range(data.draw(st.integers(min(1, most), most)))]
        self.unread += len(lines)
        self.window.read(lines, unread=position(self.unread))
        if not lines:
            self.window.read_to_end()

    @rule(data=st.data())
    def submit_some(self, data: st.DataObject) -> None:
        lines = self.window.lines_to_submit(self.now)
        assert len(lines) <= MOST_PER_CALL
        assert not lines or self.now >= self.paused_until
        assert self.in_flight.isdisjoint(each.request for each in lines)
        assert self.ended.isdisjoint(each.request for each in lines)
        for each in lines:
            match data.draw(st.sampled_from(["submitted", "ended", "postponed"])):
                case "submitted":
                    self.window.submitted(each.line)
                    self.in_flight.add(each.request)
                case "ended":
                    self.window.ended(each.line.turn)
                    self.ended.add(each.request)
                case _:
                    self.window.postponed(self.now)
                    self.paused_until = self.now + window.PAUSE_SECONDS

    @rule(data=st.data())
    def end_one(self, data: st.DataObject) -> None:
        if self.in_flight:
            self._end(data.draw(st.sampled_from(sorted(self.in_flight))))

    @rule(seconds=st.sampled_from([0.1, 1.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def give_up(self) -> None:
        self.window.cancelled(self.now)
        assert self.window.lines_to_give_up(self.now) == []
        self.now += window.GIVE_UP_SECONDS + 1
        given_up = self.window.lines_to_give_up(self.now)
        assert bool(given_up) == bool(self.in_flight)
        for each in given_up:
            self._end(each.position.number)

    @invariant()
    def no_more_are_submitted_than_the_window_holds(self) -> None:
        assert len(self.in_flight) <= self.size
        assert set(self.window.turns()) == {f"turn {number}" for number in self.in_flight}

    @invariant()
    def the_position_is_that_of_the_first_line_without_a_result(self) -> None:
        left = set(range(1, self.total + 2)) - self.ended
        assert self.window.position == position(min(left))

    def teardown(self) -> None:
        """Go on until all lines have ended: it takes a bounded number of rounds."""
        for _ in range(2 * self.total + 2 if hasattr(self, "total") else 0):
            self.now += 1
            count = self.window.lines_to_read(self.now)
            lines = [line(n) for n in range(self.unread, min(self.unread + count, self.total + 1))]
            if count and not lines:
                self.window.read_to_end()
            self.unread += len(lines)
            self.window.read(lines, unread=position(self.unread))
            for each in self.window.lines_to_submit(self.now):
                self.window.submitted(each.line)
                self.in_flight.add(each.request)
            for number in list(self.in_flight):
                self._end(number)
        if hasattr(self, "total"):
            assert self.window.all_ended
            assert self.ended == set(range(1, self.total + 1))

    def _end(self, number: int) -> None:
        assert self.window.find(f"turn {number}") == line(number).line
        self.window.ended(f"turn {number}")
        self.in_flight.remove(number)
        self.ended.add(number)


TestAnyRun = AnyRun.TestCase
TestAnyRun.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
