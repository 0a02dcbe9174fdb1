"""The names of the package's cells, for what must not wait for JAX: each is a file of `cells`."""

CELLS = ("rnn", "gru", "lstm")
