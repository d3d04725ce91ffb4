"""One suite for every backend: what the commit contract promises, on real servers."""
