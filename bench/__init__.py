"""Measurements. What is measured beside its peers and recorded (`make bench`) is laid out in docs/performance.md; the
others are run by hand and say what they found.
"""
