"""Whether settings can be right, as far as they tell without any data."""

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.bank.forgetting import FIRST_SCORING_SEED
from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.data.request_text import OPTIONS
from jax_unlearn.registry import find_method
from jax_unlearn.user_code import is_reference

from .composed import check_composed, method_at, methods_in
from .config import Experiment
from .hyperparameters import build_method, method_arguments
from .naming import as_typed, naming
from .network import check_network
from .setting_text import parse_setting


def validate(experiment: Experiment) -> None:
    """Check everything that can be checked before any data is read.

    Raises:
      InputError: with one line that names the setting.
    """
    check_network(experiment.network)
    for field in ("seeds", "request_seeds", "unlearning_seeds"):
        for seed in getattr(experiment, field):
            check_number(field, seed, low=0, high=FIRST_SCORING_SEED - 1, whole=True)
    check_number("oracles", experiment.oracles, low=0, high=FIRST_SCORING_SEED, whole=True)
    for field in ("seeds", "requests", "methods", "request_seeds", "unlearning_seeds"):
        values = getattr(experiment, field)
        if not values and field.endswith("_seeds"):
            continue
        if not values or len(set(values)) < len(values):
            raise InputError(f"{field}={values}: expected one or more values, none of them twice")
    for name in ("train_size", "test_size", "validation_size", "validation_seed", "padding"):
        check_number(f"data.{name}", getattr(experiment.data, name), low=0, whole=True)
    check_number("svc_examples", experiment.svc_examples, low=0, whole=True)
    check_number("cpu_devices", experiment.cpu_devices, low=0, high=1024, whole=True)
    check_choice("loop", experiment.loop, ("auto", "scan", "python"))
    methods = [part for name in experiment.methods for part in methods_in(name)]
    for name in methods:
        if find_method(name, argument="methods") is ju.retrain:
            raise InputError(
                f"methods={name!r}: every run has it, as the oracle; leave it out of the methods"
            )
    slugs = []
    for request in experiment.requests:
        with as_typed(f"requests={request!r}", request="requests"):
            slugs.append(data.parse_request(request).slug)
    for slug, request in zip(slugs, experiment.requests, strict=True):
        if slugs.count(slug) > 1:
            raise InputError(
                f"requests={request!r}: another one has the same short name {slug}, which names "
                "its folder; ask for one of them, or rename a file of ids"
            )
    if experiment.request_seeds and not any(map(data.draws, experiment.requests)):
        raise InputError(
            f"request_seeds={experiment.request_seeds}: none of the requests "
            f"{', '.join(experiment.requests)} draws images at random; leave them out, or ask for "
            "one that does, such as random:0.1"
        )
    with naming("training."):
        experiment.training.recipe()
    for text in experiment.set:
        kind, method, field, value = parse_setting(text)
        if kind:
            check_choice(f"set={text!r}: kind of request", kind, OPTIONS)
        known = [*ju.METHODS, *methods]
        if method not in known and not is_reference(method):
            check_choice(f"set={text!r}: method", method, known)
        build_method(method, {field: value})
    for request in experiment.requests:
        # What a sequence fulfils on its way takes of a name what it needs.
        on_its_way = any(request == data.step_before(other) for other in experiment.requests)
        for name in () if on_its_way else experiment.methods:
            check_composed(name, request)
        for name, arguments in method_arguments(experiment, request).items():
            build_method(method_at(name, request), arguments)
