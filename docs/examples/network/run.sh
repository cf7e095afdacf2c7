# in this folder
TANDEM_ALLOW=own_network PYTHONPATH=. tandem-train --config-dir=conf network=own_network data.size=32 data.train=48 trainer.max_epochs=2
