"""The customer: a loop over an explicit tuple of features, one small file each, each owning one slice.

A feature is a module with `step(profile, event, now, rules, notes) -> (slice, outputs)` and
`due(profile) -> int` (0: nothing to wait for): it reads the whole profile and the notes of the features before it,
and returns its own slice (the same object if nothing changed) and outputs: effects, messages and notes.
"""
