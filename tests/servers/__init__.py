"""Real servers for tests: each on free ports of 127.0.0.1, in a temporary folder, stopped by its own pid.

Here lives what starts, breaks and stops a server. Never here: an assertion about Rapport, an import of
`pipeline`, a mock, or a download (that is `tests/bootstrap.py`).
"""
