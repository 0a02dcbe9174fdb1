"""gr.flow.precision_audit against explicit Jacobians and literal loops in float64, and closed forms."""

import json

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr

T, B, D, H = 11, 2, 2, 3


@pytest.mark.slow
def test_against_explicit_loops(strict_json):
    """Distances of carries and cotangents, and norms, with mask and resets; float64 is off afterwards."""
    rng = np.random.default_rng(0)
    rounded = lambda a: np.asarray(a, np.float32).astype(np.float64)
    exact = gr.Params(*jax.tree.map(rounded, reference.weights("gru", D, H, rng)))
    wide = rounded(rng.normal(size=(T, B, D)))
    mask, reset = rng.random((T, B)) < 0.8, np.zeros((T, B), bool)
    reset[5, 0] = True
    dys = rounded(rng.normal(size=(T, B, H)))
    put = lambda tree, dtype="float32": jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)
    params, xs = put(exact), put(wide)
    audit = gr.flow.precision_audit(gr.gru, params, xs, dys=put(dys), mask=mask, reset=reset)
    rough = put((exact, wide), "bfloat16")
    rough_dys = put(put(dys, "bfloat16"))
    states = np.zeros((T, B, H))
    for b in range(B):
        path = flow_reference.path("gru", exact, wide[:, b], None, mask[:, b], reset[:, b])
        states[:, b] = path.states[1:]
        found = flow_reference.adjoint(path.jacobians, np.zeros(H), dys[:, b] * mask[:, b, None])
        # the audit's row t is what the carry before step t is asked for by later outputs alone
        later = np.ldexp(found.vectors, np.array(found.exponents)[:, None])[:-1]
        later[1:] -= (dys[:, b] * mask[:, b, None])[:-1]
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(audit.log10_norm[:, b], np.log10(np.linalg.norm(later, axis=1)), atol=1e-9)
        zero = gr.GRUState(jnp.zeros((1, H), "float32"))
        flags = {"mask": mask[:, b : b + 1], "reset": reset[:, b : b + 1]}
        run = lambda carry, flags=flags, b=b: gr.unroll(
            gr.gru, rough[0], rough[1][:, b : b + 1], carry, method=gr.Autodiff(), **flags
        )[1]
        (back,) = jax.vjp(run, zero)[1](rough_dys[:, b : b + 1])
        if not reset[:, b].any():  # else nothing arrives at the first carry
            off = np.linalg.norm(np.asarray(back.h[0]) - later[0]) / np.linalg.norm(later[0])
            np.testing.assert_allclose(audit.gradient["bfloat16"][0, b], off, rtol=1e-3)
    _, ys = gr.unroll(gr.gru, *rough, mask=mask, reset=reset)
    ran = np.where(mask, np.linalg.norm(states, axis=-1), 1)
    off = np.where(mask, np.linalg.norm(np.asarray(ys) - states, axis=-1) / ran, 0)  # masked outputs are zero
    np.testing.assert_allclose(audit.state["bfloat16"][mask], off[mask], rtol=1e-3)
    assert (audit.state["float32"] < 1e-6).all() and (audit.gradient["float32"] < 1e-5).all()
    assert 1e-4 < audit.weights["bfloat16"]["recurrent.w"] < 0.1 and audit.weights["float32"]["recurrent.w"] < 1e-5
    assert audit.parted_step["float32"].tolist() == [T, T] and audit.parted_lag["float32"].tolist() == [T + 1, T + 1]
    far = audit.state["bfloat16"] > 0.1
    assert audit.parted_step["bfloat16"].tolist() == np.where(far.any(0), far.argmax(0), T).tolist()
    record = strict_json(json.dumps(audit.record(), allow_nan=False))
    assert record["marks"] == list(range(1, T + 1))
    assert record["formats"]["bfloat16"]["state"][3] == audit.state["bfloat16"][3].max()
    assert jnp.asarray(np.float64(1)).dtype == jnp.float32


def test_unheld():
    """At rest with a gain of 0.1 the norm at lag k is 10^-k, and 1.2e-38 is the least normal number."""
    params = gr.rnn.init(jax.random.key(0), 1, 4, recurrent_init=gr.initializers.orthogonal(0.1))
    audit = gr.flow.precision_audit(gr.rnn, params, jnp.zeros((60, 1)), dtypes=("float32", "float16"))
    np.testing.assert_allclose(audit.log10_norm, -np.arange(60, 0, -1.0), atol=1e-5)
    assert (audit.unheld_lag["float32"], audit.unheld_lag["float16"]) == (38, 5)
    assert (audit.parted_step["float32"], audit.parted_lag["float32"]) == (60, 61)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtypes": ("float64",)}, "`dtypes` must be .*none of them float64"),
        ({"dtypes": ("int8",)}, "`dtypes` must be a floating type"),
        ({"tolerance": 0}, "`tolerance` must be"),
    ],
)
def test_errors(options, message):
    """What is no format, and what has no single steps."""
    params = gr.rnn.init(jax.random.key(0), 1, 4)
    with pytest.raises(ValueError, match=message):
        gr.flow.precision_audit(gr.rnn, params, jnp.zeros((5, 1)), **options)
