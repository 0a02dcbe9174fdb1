"""How a recurrence is evaluated and differentiated: one policy per file, and all give the same function.

Each policy is a frozen dataclass and a callable

    (cell, params, xs [T, B, D], carry, initial, mask, reset, reverse) -> (carry, ys [T, B, H])

where `initial` is the carry that a reset restarts from. Masked steps' rows of `ys` are for the caller to clear.
"""
