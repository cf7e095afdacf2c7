"""What happens around training: sweep, files, progress."""
