"""Three programs: `speed` and `learning` measure and write records, `tables` writes them into the README."""
