"""Updates of a method on recorded rows, compared with those of the golden file."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn.engine.steps import take_batch

KEY = jax.random.key(0)
CASES = {}
NOT_OFFERED = {}


def case(file, *variants):
    """Declare the function that checks variants of a file, ``folder/name``; '' is a file's only.

    It takes a Golden, whose names are those of one variant.
    """

    def declare(function):
        for variant in variants or ("",):
            CASES[file, variant] = function
        return function

    return declare


def not_offered(file, variant, reason):
    """Declare that a form is not one of ours, and why: a slip, or what no published table needs."""
    NOT_OFFERED[file, variant] = reason


def close(ours, theirs, what="", *, rtol=1e-9):
    """Compare trees leaf by leaf, relative to each leaf's largest value."""
    leaves = jax.tree_util.tree_leaves_with_path(theirs)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs), what
    for (path, expected), got in zip(leaves, jax.tree.leaves(ours), strict=True):
        expected, got = np.asarray(expected), np.asarray(got)
        assert got.dtype == expected.dtype or expected.dtype.kind in "ib", f"{what} {got.dtype}"
        largest = np.abs(expected).max(initial=0)
        name = f"{what} {jax.tree_util.keystr(path)}"
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * largest, err_msg=name)


def epochs_of(count, epochs):
    """The number of each update's epoch, for epochs of one length."""
    return np.arange(count) // (count // epochs)


def replay(
    golden,
    method,
    problem,
    rows,
    *,
    pool=None,
    labels=None,
    state=None,
    epochs=1,
    losses=None,
    reports=None,
):
    """Take the golden file's updates and compare weights and statistics after each that is stored.

    Args:
      golden: the variant.
      method: ours.
      problem: what ``init`` sees.
      rows: int [T, B], rows of the pool shown in each update; -1 is padding.
      pool: where the rows are; None takes all examples in the order of the file.
      labels: int [T, B], labels shown in each update in place of the pool's.
      state: what to start from; None asks ``method.init``.
      epochs: number of epochs, all of one length; or the epoch of each update, int [T].
      losses: what each update's loss must be, [T]; None does not ask.
      reports: what else each update must report, [T] each, by name.

    Returns:
      The state after the last update.
    """
    pool = golden.pool() if pool is None else pool
    pool = jax.tree.map(jnp.asarray, pool)
    state = method.init(KEY, problem) if state is None else state
    step = jax.jit(method.step, static_argnums=0)
    reports = {**(reports or {}), **({} if losses is None else {"loss": losses})}
    count = len(rows)
    assert set(golden.stored) <= set(range(count)), "fewer updates than the file has"
    epoch = epochs_of(count, epochs) if np.ndim(epochs) == 0 else np.asarray(epochs)
    for t in range(count):
        batch = take_batch(pool, jnp.asarray(rows[t], jnp.int32), KEY, None)
        if labels is not None:
            batch = batch._replace(label=jnp.asarray(labels[t], jnp.int32))
        numbers = (t, count, epoch[t], epoch.max() + 1)
        info = ju.StepInfo(*map(jnp.int32, numbers), jax.random.fold_in(KEY, t))
        state, scalars = step(problem.model, state, batch, info)
        if t in golden.stored:
            close(state.variables, golden.after(t), f"after update {t}")
        for name, expected in reports.items():
            close(scalars[name], jnp.asarray(expected[t]), f"{name} of update {t}")
    return state
