"""`python -m quarterdeck`: the command line."""

import sys

from quarterdeck.doors.cli.main import run

sys.exit(run())
