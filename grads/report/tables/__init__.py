"""The tables of a study, one file each."""
