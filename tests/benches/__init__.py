"""The benches count and compare rightly. Nothing here measures time."""
