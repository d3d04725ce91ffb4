"""The command line as a person meets it: every command is a process of its own in a fresh folder."""
