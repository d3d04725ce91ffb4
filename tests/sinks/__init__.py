"""What leaves the log for elsewhere. Here live the tests of the sinks."""
