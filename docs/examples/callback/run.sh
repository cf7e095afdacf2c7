# in this folder
TANDEM_ALLOW=own_callback PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny callbacks=own
