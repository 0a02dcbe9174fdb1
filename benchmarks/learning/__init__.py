"""Who learns over long horizons."""
