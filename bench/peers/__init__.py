"""Other stream engines doing the small profile. Each runs in an environment of its own: nothing here is imported by
Rapport, and nothing of Rapport is imported here.
"""
