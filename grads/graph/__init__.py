"""Which jobs a study, a cell or a command has."""
