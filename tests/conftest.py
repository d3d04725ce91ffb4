"""What every test may use. Here lives only the list of fixture modules."""

pytest_plugins = ["servers.fixtures"]
