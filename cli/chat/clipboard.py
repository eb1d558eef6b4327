"""Puts text into the clipboard: by a program of the desktop, or by the terminal itself."""

import base64
import shutil
import subprocess
import sys

_PROGRAMS = (
    ("pbcopy",),
    ("wl-copy",),
    ("xclip", "-selection", "clipboard"),
    ("xsel", "--clipboard", "--input"),
)
_PROGRAM_SECONDS = 5.0


def copy(text: str) -> str:
    """Copy a text; return how, as a sentence."""
    for program in _PROGRAMS:
        if shutil.which(program[0]) is None:
            continue
        try:
            # xclip stays to serve the clipboard: it must not keep our output open.
            subprocess.run(
                program,
                input=text.encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PROGRAM_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return "The answer was copied."
    # OSC 52: most terminals take it, also through ssh.
    sys.stdout.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a")
    sys.stdout.flush()
    return "The answer was sent to the terminal's clipboard, which not every terminal has."
