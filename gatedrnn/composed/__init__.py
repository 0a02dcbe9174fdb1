"""Methods made of another method: each runs a part of the sequence, or of the batch, by the one it holds."""
