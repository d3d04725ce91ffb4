"""Trying out what campaigns decide before anything is at stake: events written as plain text, and the whole core on
one little log in memory. Nothing here reads a clock, a log or a store, or acts."""
