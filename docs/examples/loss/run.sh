# in this folder
TANDEM_ALLOW=own_loss PYTHONPATH=. tandem-train --config-dir=conf experiment=tiny loss/binary@tasks.segmentation.loss=own tasks.segmentation.loss.limit=2
