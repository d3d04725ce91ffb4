"""What takes effects off the log (role `deliver`): each sink a pure `render` and a tiny `send`."""
