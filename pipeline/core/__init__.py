"""The business, pure. No clock, dice, files, network or logging lives here, and never may.

Everything is a function of what it is given: `step(state, event, now, rules) -> (state, outputs)`.
The shell (`pipeline.processors`) brings states, records and time, and carries out what is returned.
"""
