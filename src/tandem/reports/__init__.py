"""Building blocks of pages, figures and tables, shared by all commands."""
