"""Names of the files in a run's folder; their presence identifies the state of the run."""

RESULTS = "results.json"  # exists once the run has finished
BEST = "best.ckpt"  # checkpoint of the best epoch, with weights and thresholds
LAST = "last.ckpt"  # checkpoint from which an unfinished run resumes
