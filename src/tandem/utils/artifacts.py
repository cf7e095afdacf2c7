"""Names of the files that make a run's folder one: whoever finds them there knows what it is."""

RESULTS = "results.json"  # the run is finished
BEST = "best.ckpt"  # weights and thresholds of the best epoch
LAST = "last.ckpt"  # where an unfinished run goes on
