"""Tasks: one question about an image each."""
