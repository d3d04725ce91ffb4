"""Stories in plain text: what happens, `----`, what came of it."""
