"""The simulator: people who shop, as messages of the tracking protocol, the same ones for the same seed.

Here lives everything invented. Never here: a clock (times follow from `start_ms`), a source of chance other than
`random.Random(seed)`, a connection (live messages are handed to a callable), or knowledge of any campaign.
"""
