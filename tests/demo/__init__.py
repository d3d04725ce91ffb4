"""What surrounds the demonstration; the demonstration itself is looked at in tests/web/test_web_demo.py."""
