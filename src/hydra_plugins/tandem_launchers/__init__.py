"""Hydra launchers that skip finished jobs and can run each job of a sweep in its own process."""
