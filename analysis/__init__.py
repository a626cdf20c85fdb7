"""Records in; statistics, tables, figures and a report out. Imports neither torch nor ray, nor the other packages."""
