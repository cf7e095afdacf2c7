"""Shows what training sees: original and augmented images, masks outlined."""

from tandem.show_data.command import main

__all__ = ["main"]
