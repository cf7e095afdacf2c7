# in this folder
TANDEM_ALLOW=own_augment PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny augment=own augment.width=0.2
