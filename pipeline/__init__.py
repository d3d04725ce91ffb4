"""Rapport: what happens on a website, turned into lasting customer relationships."""

__version__ = "0.1.0"
