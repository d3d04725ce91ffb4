"""What the deployment files promise: generated ones are up to date, the others start what they name."""
