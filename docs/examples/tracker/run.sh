# in this folder
TANDEM_ALLOW=own_tracker PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny logger=own
