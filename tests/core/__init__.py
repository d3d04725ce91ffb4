"""The specification of the pure core, module by module."""
