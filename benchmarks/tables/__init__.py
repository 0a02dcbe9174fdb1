"""The README's tables and pictures, from the records alone."""
