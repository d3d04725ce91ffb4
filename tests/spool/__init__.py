"""Nothing acknowledged is lost, and nobody is overtaken. Here live the tests of the collector's spool."""
