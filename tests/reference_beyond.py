"""The cells beyond RNN, GRU and LSTM as literal float64 NumPy loops, transcribed from the papers; see `reference`."""

import numpy as np
from reference_loop import columns, loop, sigmoid


def gru_before(params, xs, carry=None, mask=None, reset=None, reverse=False):
    """Gated recurrent unit, reset before the product.

        r = sigmoid(W_r x_t + U_r h_{t-1} + b_r)
        z = sigmoid(W_z x_t + U_z h_{t-1} + b_z)
        n = tanh(W_n x_t + U_n (r * h_{t-1}) + b_n)
        h_t = (1 - z) n + z h_{t-1}

    Kyunghyun Cho et al., 2014, https://arxiv.org/abs/1406.1078, eq. 5 to 8, with biases.
    """
    H = len(params.recurrent["w"])
    W_r, W_z, W_n = columns(params.input["w"], H)
    b_r, b_z, b_n = columns(params.input["b"], H)
    U_r, U_z, U_n = columns(params.recurrent["w"], H)

    def step(x, h):
        r = sigmoid(x @ W_r + h @ U_r + b_r)
        z = sigmoid(x @ W_z + h @ U_z + b_z)
        n = np.tanh(x @ W_n + (r * h) @ U_n + b_n)
        return ((1 - z) * n + z * h,), {"reset": r, "update": z, "candidate": n}

    return loop(step, 1, H, xs, carry, mask, reset, reverse)


def lem(params, xs, carry=None, mask=None, reset=None, reverse=False, dt=1.0):
    """Long expressive memory; y is the output.

        dt_n  = dt sigmoid(W_1 y_{n-1} + V_1 u_n + b_1)
        dt'_n = dt sigmoid(W_2 y_{n-1} + V_2 u_n + b_2)
        z_n = (1 - dt_n) z_{n-1} + dt_n tanh(W_z y_{n-1} + V_z u_n + b_z)
        y_n = (1 - dt'_n) y_{n-1} + dt'_n tanh(W_y z_n + V_y u_n + b_y)

    T. Konstantin Rusch et al., Long Expressive Memory for Sequence Modeling, 2022, https://arxiv.org/abs/2110.04744,
    eq. 3.
    """
    H = len(params.recurrent["w"])
    V_1, V_2, V_z, V_y = columns(params.input["w"], H)
    b_1, b_2, b_z, b_y = columns(params.input["b"], H)
    W_1, W_2, W_z, W_y = columns(params.recurrent["w"], H)

    def step(u, y, z):
        first = dt * sigmoid(y @ W_1 + u @ V_1 + b_1)
        second = dt * sigmoid(y @ W_2 + u @ V_2 + b_2)
        memory = np.tanh(y @ W_z + u @ V_z + b_z)
        z = (1 - first) * z + first * memory
        output = np.tanh(z @ W_y + u @ V_y + b_y)
        y = (1 - second) * y + second * output
        return (y, z), {"memory_step": first, "output_step": second, "memory": memory, "output": output}

    return loop(step, 2, H, xs, carry, mask, reset, reverse)


def slstm(params, xs, carry=None, mask=None, reset=None, reverse=False):
    """Scalar LSTM with exponential input gate, sigmoid forget gate and stabiliser; block-diagonal recurrence.

        m_t = max(log sigmoid(f~) + m_{t-1}, i~)
        i = exp(i~ - m_t), f = exp(log sigmoid(f~) + m_{t-1} - m_t)
        c_t = f c_{t-1} + i tanh(z~), n_t = f n_{t-1} + i
        h_t = sigmoid(o~) c_t / n_t

    Maximilian Beck et al., xLSTM: Extended Long Short-Term Memory, 2024, https://arxiv.org/abs/2405.04517, eq. 8 to 17.
    """
    R = np.asarray(params.recurrent["w"], np.float64)
    N, width, _ = R.shape
    H = N * width
    whole = [np.zeros((H, H)) for _ in range(4)]
    for k, head in enumerate(R):
        units = slice(k * width, (k + 1) * width)
        for gate, block in enumerate(columns(head, width)):
            whole[gate][units, units] = block
    W, b = columns(params.input["w"], H), columns(params.input["b"], H)

    def step(x, h, n, m, c):
        i, f, z, o = (x @ W[k] + h @ whole[k] + b[k] for k in range(4))
        kept = -np.logaddexp(0, -f) + m
        m = np.maximum(kept, i)
        i, f, z, o = np.exp(i - m), np.exp(kept - m), np.tanh(z), sigmoid(o)
        c, n = f * c + i * z, f * n + i
        return (o * c / n, n, m, c), {"input": i, "forget": f, "candidate": z, "output": o}

    return loop(step, 4, H, xs, carry, mask, reset, reverse)


def indrnn(params, xs, carry=None, mask=None, reset=None, reverse=False):
    """Independently recurrent network: h_t = relu(W x_t + u * h_{t-1} + b).

    Shuai Li et al., Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN, 2018,
    https://arxiv.org/abs/1803.04831, eq. 2.
    """
    W, b, u = (np.asarray(a, np.float64) for a in (params.input["w"], params.input["b"], params.recurrent["u"]))

    def step(x, h):
        candidate = np.maximum(x @ W + u * h + b, 0)
        return (candidate,), {"candidate": candidate}

    return loop(step, 1, len(u), xs, carry, mask, reset, reverse)


def relu_rnn(params, xs, carry=None, mask=None, reset=None, reverse=False):
    """Elman network of rectified units: h_t = relu(W x_t + U h_{t-1} + b).

    Quoc V. Le et al., A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015,
    https://arxiv.org/abs/1504.00941.
    """
    W, b, U = (np.asarray(a, np.float64) for a in (params.input["w"], params.input["b"], params.recurrent["w"]))

    def step(x, h):
        candidate = np.maximum(x @ W + h @ U + b, 0)
        return (candidate,), {"candidate": candidate}

    return loop(step, 1, len(U), xs, carry, mask, reset, reverse)
