# in this folder
TANDEM_ALLOW=own_decoder PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny network=own_decoder
