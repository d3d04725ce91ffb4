"""The browser's side, in a real browser: rapport.js and the demo shop, against a stand-in that records."""
