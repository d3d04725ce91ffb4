"""Replay: history from files, put on the log with its own times, so that it is decided as of its own time.

`cdnow`, `segment` and `table` are pure readers: lines of text in, typed records or `BadRow`s out; they never open
a file, ask a clock or know of a log. `plan` sorts what they yield, `writing` puts it on the log, `tail` tells
where a log stands. Nothing here decides anything about a customer.
"""
