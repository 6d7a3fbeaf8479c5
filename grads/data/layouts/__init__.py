"""The layouts of rows that are read, one file each."""
