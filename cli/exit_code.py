"""What our processes end with; the supervisor goes by it when one has ended."""

#: The command line or a variable is wrong; starting again would not help.
BAD_SETTING = 2
#: A worker could not load its model; the last line it printed is the reason.
CANNOT_LOAD = 3
