"""The API over real HTTP. Here live its tests and what runs it for them."""
