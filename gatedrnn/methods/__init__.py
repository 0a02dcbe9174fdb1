"""How a recurrence is evaluated and differentiated: one policy per file, each a `gatedrnn.Method`.

`Autodiff` and `Segmented` evaluate; the others run pieces of the sequence, or of the batch, by a method that they hold.
"""
