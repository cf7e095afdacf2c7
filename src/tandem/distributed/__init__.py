"""One run on several devices, equivalent step by step to a run on one: gathered batches, shared statistics."""
