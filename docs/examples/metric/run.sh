# in this folder
TANDEM_ALLOW=own_metric PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny metrics@tasks.segmentation.metrics=own
