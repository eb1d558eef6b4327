"""Lets `python -m cli` be the command too, which is how `turnstream up` starts its children."""

import sys

from cli.main import main

sys.exit(main())
