"""Long sequences to run a cell over, made or read from files; each file is read here and nowhere else."""
