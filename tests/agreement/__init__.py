"""The same log, the same decisions: runs of the real command line, compared whole. Here lives no product code."""
