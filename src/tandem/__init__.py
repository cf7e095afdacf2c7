"""tandem: one network, several questions about an image, chosen through Hydra config groups."""
