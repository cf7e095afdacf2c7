# in this folder
TANDEM_ALLOW=own_source PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny data=own data.count=24
