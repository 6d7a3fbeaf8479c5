"""From finished cells to the long table, tables, figures and pages."""
