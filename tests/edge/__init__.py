"""What stands before every HTTP port: its parts, and the whole behind real sockets."""
