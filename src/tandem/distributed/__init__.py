"""One run on several devices, step for step the run of one: processes, shared batches, shared statistics."""
