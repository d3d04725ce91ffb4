"""The whole of Rapport as one process that is talked to over HTTP alone."""
