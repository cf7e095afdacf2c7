# in this folder
TANDEM_ALLOW=own_balance PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny balance=own balance.temperature=2
