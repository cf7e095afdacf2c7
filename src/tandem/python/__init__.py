"""What `import tandem` offers in Python: compose a configuration, train it, find runs and read them."""
