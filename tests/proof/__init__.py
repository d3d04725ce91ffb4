"""The proof: real servers and processes, broken on purpose, and everything recomputed from the log at the end.

`make prove`, or `python -m tests.proof --seconds 900 --faults 200 --seed 7`. Here lives no product code, and nothing
here is used by it.
"""
