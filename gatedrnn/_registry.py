"""The names of the package's cells, for what must not wait for JAX: each is a file of `cells`."""

CELLS = {
    "rnn": "RNN",
    "gru": "GRU",
    "lstm": "LSTM",
    "gru_before": "GRU, reset before",
    "lem": "LEM",
    "slstm": "sLSTM",
    "indrnn": "IndRNN",
    "relu_rnn": "ReLU RNN",
}
"""Every cell, with its name in titles."""

CLASSICS = ("rnn", "gru", "lstm")
"""What is meant where no cell is named: by `compare`, `race`, the benchmarks and `check_method`."""
