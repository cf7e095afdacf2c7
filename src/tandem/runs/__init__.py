"""What a run is: where it came from, its trained module again, and its answers."""
