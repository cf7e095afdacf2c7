# in this folder
python own_module.py
