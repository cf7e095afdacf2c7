"""An external test: a finished run on the images of another set or site, with nothing of the run changed."""
