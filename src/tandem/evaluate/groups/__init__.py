"""Numbers of groups of images (`by=...`): site, device, sex, age, size of the lesion."""
