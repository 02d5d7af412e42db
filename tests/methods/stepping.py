"""One update of a method as one program: operation by operation a hundred are compiled for it."""

import functools

import jax


@functools.partial(jax.jit, static_argnames="model")
def one_update(method, model, state, batch, info):
    """What the method's ``step`` returns, its compiled program kept for methods of its kind."""
    return method.step(model, state, batch, info)
