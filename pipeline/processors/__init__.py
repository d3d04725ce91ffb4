"""What drives the core: the worker and its recovery, fitting. Decides nothing of its own."""
