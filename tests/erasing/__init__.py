"""Erasing and exporting a person, on every log and store."""
