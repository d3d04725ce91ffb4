"""What the documentation promises: generated pages are up to date, shell blocks run, links lead somewhere."""
