"""The command line: one module for each kind of work. Parses, calls `pipeline.app`, prints; decides nothing."""
