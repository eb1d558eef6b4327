"""`turnstream chat`: a conversation in the terminal, and one answer for a script.

With a terminal on both sides it is `session.py`; otherwise `piped.py`, which writes plain text.
"""
