"""The proof's command line: `make prove`, or `python -m tests.proof --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from proof.command import main

sys.exit(main(sys.argv[1:]))
