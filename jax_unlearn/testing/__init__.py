"""The battery that every method passes, for methods of this library and of your own.

Needs no test runner: a fact that does not hold raises AssertionError with a sentence. In a test::

    def test_my_method():
        jax_unlearn.testing.check_method(MyMethod, epochs=2)
"""

from jax_unlearn.testing.check import check_method
from jax_unlearn.testing.small_run import SMALL, small, small_model, small_problem

__all__ = ["SMALL", "check_method", "small", "small_model", "small_problem"]
