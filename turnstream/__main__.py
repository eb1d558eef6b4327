"""Lets `python -m turnstream` be the command, which is how `turnstream up` starts its children."""

import sys

from turnstream.cli.main import main

sys.exit(main())
