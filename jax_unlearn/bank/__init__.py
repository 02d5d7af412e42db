"""A bank of models: each trained once, stored under an address that says how it was made.

`filling` trains what is missing, `store` keeps models and what they predict, `record` says what
determines a model, `data` what all models of a bank share, `probes` what lies behind the logits,
`files` how anything is written to disk whole. A `plan` is what an experiment's models share:
`request_models` fills a bank with those of requests, `scoring` asks models which examples a request
means, `changed` keeps the models of data that a request has changed, and `reference` puts originals
and oracles into one file to compare with.
"""

from jax_unlearn.bank.data import DataDescription, Labelled
from jax_unlearn.bank.filling import (
    RECIPE_VERSION,
    Member,
    describe_data,
    describe_method,
    fill,
)
from jax_unlearn.bank.record import Record, ids_digest
from jax_unlearn.bank.store import Bank, open_bank

__all__ = [
    "RECIPE_VERSION",
    "Bank",
    "DataDescription",
    "Labelled",
    "Member",
    "Record",
    "describe_data",
    "describe_method",
    "fill",
    "ids_digest",
    "open_bank",
]
