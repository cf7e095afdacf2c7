# in this folder
TANDEM_ALLOW=own_task PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny 'task=[own,segmentation]'
