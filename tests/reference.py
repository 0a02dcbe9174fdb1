"""The cells as literal float64 NumPy loops, transcribed from the papers; they share nothing with the package.

    carry, ys, gates = reference.LOOPS["lstm"](params, xs, carry, mask=mask, reset=reset, reverse=False)

One row of the batch and one time step after the other, with `if` where the package has `where`: a masked step is
skipped, a reset step starts from zeros. `params` is any object with the dicts `.input` and `.recurrent`.
"""

from typing import NamedTuple

import numpy as np
from reference_beyond import gru_before, indrnn, lem, relu_rnn, slstm
from reference_loop import columns, loop, sigmoid


class PerCell(dict):
    """What there is for each cell of the house, by its name; a new cell is told what its tests wait for."""

    def __init__(self, what, **cells):
        super().__init__(cells)
        self.what = what

    def __missing__(self, name):
        raise LookupError(f"the cell {name!r} has no {self.what}: write it from the cell's paper, without the package")


class Weights(NamedTuple):
    """The dicts of arrays the loops read, in the layout of the package's `Params`."""

    input: dict
    recurrent: dict


def weights(name, D, H, rng):
    """Random float64 weights and biases of the cell `name`, in the layout its loop reads.

    rnn, relu_rnn   input w [D, H],    b [H]      recurrent w [H, H]
    indrnn          input w [D, H],    b [H]      recurrent u [H]
    gru             input w [D, 3 H],  b [3 H]    recurrent w [H, 3 H], b [H]    order reset, update, candidate
    gru_before      input w [D, 3 H],  b [3 H]    recurrent w [H, 3 H]           order reset, update, candidate
    lstm            input w [D, 4 H],  b [4 H]    recurrent w [H, 4 H]           order input, forget, candidate, output
    slstm           input w [D, 4 H],  b [4 H]    recurrent w [1, H, 4 H]        order input, forget, candidate, output
    lem             input w [D, 4 H],  b [4 H]    recurrent w [H, 4 H]           order of the equations
    """
    G = _GATES[name]
    recurrent = {"w": rng.normal(size=(H, G * H)) / H**0.5}
    if name == "gru":
        recurrent["b"] = rng.normal(size=H)
    if name == "slstm":
        recurrent["w"] = recurrent["w"][None]
    if name == "indrnn":
        recurrent = {"u": rng.normal(size=H)}
    return Weights({"w": rng.normal(size=(D, G * H)) / D**0.5, "b": rng.normal(size=G * H)}, recurrent)


def random_carry(zero, shape, rng):
    """A carry as the cell may leave it: random float64 parts, the normaliser of a mean positive."""
    parts = type(zero)(*(rng.normal(size=shape) for _ in zero))
    return parts._replace(n=0.5 + abs(parts.n)) if "n" in zero._fields else parts


def rnn(params, xs, carry=None, mask=None, reset=None, reverse=False):
    """Elman network: h_t = tanh(W x_t + U h_{t-1} + b).

    Jeffrey L. Elman, Finding Structure in Time, 1990, https://doi.org/10.1207/s15516709cog1402_1;
    with tanh for his logistic function, as torch.nn.RNN and keras.layers.SimpleRNN have it.
    """
    W, b, U = (np.asarray(a, np.float64) for a in (params.input["w"], params.input["b"], params.recurrent["w"]))

    def step(x, h):
        candidate = np.tanh(x @ W + h @ U + b)
        return (candidate,), {"candidate": candidate}

    return loop(step, 1, len(U), xs, carry, mask, reset, reverse)


def gru(params, xs, carry=None, mask=None, reset=None, reverse=False):
    """Gated recurrent unit, reset after the product.

        r = sigmoid(W_r x_t + U_r h_{t-1} + b_r)
        z = sigmoid(W_z x_t + U_z h_{t-1} + b_z)
        n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + b_hn))
        h_t = (1 - z) n + z h_{t-1}

    Kyunghyun Cho et al., Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
    Translation, 2014, https://arxiv.org/abs/1406.1078, eq. 5 to 8 (there the reset gate is inside the product);
    Jeremy Appleyard et al., Optimizing Performance of Recurrent Neural Networks on GPUs, 2016,
    https://arxiv.org/abs/1604.01946, for the reset gate after it.
    """
    H = len(params.recurrent["b"])
    W_r, W_z, W_n = columns(params.input["w"], H)
    b_r, b_z, b_n = columns(params.input["b"], H)
    U_r, U_z, U_n = columns(params.recurrent["w"], H)
    b_hn = np.asarray(params.recurrent["b"], np.float64)

    def step(x, h):
        r = sigmoid(x @ W_r + h @ U_r + b_r)
        z = sigmoid(x @ W_z + h @ U_z + b_z)
        n = np.tanh(x @ W_n + b_n + r * (h @ U_n + b_hn))
        return ((1 - z) * n + z * h,), {"reset": r, "update": z, "candidate": n}

    return loop(step, 1, H, xs, carry, mask, reset, reverse)


def lstm(params, xs, carry=None, mask=None, reset=None, reverse=False):
    """Long short-term memory with forget gate, without peepholes.

        i = sigmoid(W_i x_t + U_i h_{t-1} + b_i)
        f = sigmoid(W_f x_t + U_f h_{t-1} + b_f)
        g = tanh(W_g x_t + U_g h_{t-1} + b_g)
        o = sigmoid(W_o x_t + U_o h_{t-1} + b_o)
        c_t = f c_{t-1} + i g
        h_t = o tanh(c_t)

    Sepp Hochreiter and Jürgen Schmidhuber, Long Short-Term Memory, 1997, https://doi.org/10.1162/neco.1997.9.8.1735;
    Felix A. Gers et al., Learning to Forget: Continual Prediction with LSTM, 2000,
    https://doi.org/10.1162/089976600300015015, for f; the form of Wojciech Zaremba et al., Recurrent Neural Network
    Regularization, 2014, https://arxiv.org/abs/1409.2329.
    """
    H = len(params.recurrent["w"])
    W_i, W_f, W_g, W_o = columns(params.input["w"], H)
    b_i, b_f, b_g, b_o = columns(params.input["b"], H)
    U_i, U_f, U_g, U_o = columns(params.recurrent["w"], H)

    def step(x, h, c):
        i = sigmoid(x @ W_i + h @ U_i + b_i)
        f = sigmoid(x @ W_f + h @ U_f + b_f)
        g = np.tanh(x @ W_g + h @ U_g + b_g)
        o = sigmoid(x @ W_o + h @ U_o + b_o)
        c = f * c + i * g
        return (o * np.tanh(c), c), {"input": i, "forget": f, "candidate": g, "output": o}

    return loop(step, 2, H, xs, carry, mask, reset, reverse)


LOOPS = PerCell(
    "loop in tests/reference.py",
    **{each.__name__: each for each in (rnn, gru, lstm, gru_before, lem, slstm, indrnn, relu_rnn)},
)
_GATES = PerCell(
    "layout of weights in tests/reference.py",
    **{"rnn": 1, "gru": 3, "lstm": 4, "gru_before": 3, "lem": 4, "slstm": 4, "indrnn": 1, "relu_rnn": 1},
)


def central_difference(loss, leaf, step=1e-5):
    """Gradient of `loss()` with respect to the float64 array `leaf`, which `loss` reads and this moves in place.

    Returns:
        An array of the shape of `leaf`; the truncation error is O(step^2), the rounding error O(1e-16 / step).
    """
    gradient = np.zeros_like(leaf)
    for index in np.ndindex(leaf.shape):
        kept = leaf[index]
        leaf[index] = kept + step
        above = loss()
        leaf[index] = kept - step
        gradient[index] = (above - loss()) / (2 * step)
        leaf[index] = kept
    return gradient
