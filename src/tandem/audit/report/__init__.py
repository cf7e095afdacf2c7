"""Reports an audit as a page, as tables and on the terminal."""
