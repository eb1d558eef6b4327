"""What our processes end with; the supervisor goes by it when one has ended."""

#: The command line or a variable is wrong; starting again would not help.
BAD_SETTING = 2
#: A worker could not load its model; the last line it printed is the reason.
CANNOT_LOAD = 3
#: `turnstream bulk` has written its output, and some of its lines are errors.
SOME_FAILED = 4
#: Ctrl-C.
INTERRUPTED = 130
