"""An audit of data as a page, as tables and on the terminal."""
