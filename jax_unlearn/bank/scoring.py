"""What models say of the training images, where a request chooses by it."""

import numpy as np

from jax_unlearn import data
from jax_unlearn.audit.measures.measure import MIN_SUBSETS
from jax_unlearn.bank.forgetting import FIRST_SCORING_SEED, mean_margins
from jax_unlearn.bank.plan import Plan, make_key, original_member, subset_member
from jax_unlearn.bank.plan_filling import fill_plan
from jax_unlearn.bank.record import Record
from jax_unlearn.bank.subset_models import member_rows
from jax_unlearn.bank.together import from_leader, records_of, train_logits_of, weights_of
from jax_unlearn.core import InputError
from jax_unlearn.data.request_text import BY_HALVES, describe_request


def request_scores(plan: Plan, text: str, spec: data.RequestSpec) -> data.Scores:
    """Scores of the training images by which a step of a request chooses.

    Models of all the data are trained where the bank lacks them; those of random halves must be
    there.

    Args:
      plan: what all models share.
      text: the request.
      spec: the step.

    Raises:
      InputError: the bank has too few models of random halves.
    """
    label = plan.dataset.train.label
    if spec.kind in BY_HALVES:
        records = halves(plan, text)
        seeds = [record.ingredients["seed"] for record in records]
        logits = [train_logits_of(plan.bank, record) for record in records]
        seen = np.stack([member_rows(record, plan.dataset.train.id) for record in records])
        told = memorized if spec.kind == "memorization" else held_out_loss
        return data.Scores(told(logits, label, seen), {"models": len(seeds), "seeds": seeds})
    seeds = [FIRST_SCORING_SEED + seed for seed in spec.scoring_seeds]
    members = [original_member(plan, seed) for seed in seeds]
    records = fill_plan(plan, f"{describe_request(text)}: scoring model", members)
    arguments = {"models": len(seeds), "seeds": list(spec.scoring_seeds)}
    if spec.kind == "entangled":
        return data.Scores(_features(plan, records[0]), arguments)
    logits = [train_logits_of(plan.bank, record) for record in records]
    return data.Scores(mean_margins(logits, label), arguments)


def halves(plan: Plan, text: str, to_come: int = 0) -> list[Record]:
    """Models of random halves that the bank holds of a plan's data, network and recipe.

    Args:
      plan: the plan.
      text: the request that needs them.
      to_come: how many, of seeds 0, 1, ..., will be there by then.

    Raises:
      InputError: there are fewer than ``MIN_SUBSETS``.
    """

    def find() -> list[str]:
        records = plan.bank.records("subset")
        made_of = {r.address: subset_member(plan, r.ingredients["seed"]) for r in records}
        return [a for a, member in made_of.items() if plan.bank.address(member.ingredients) == a]

    records = records_of(plan.bank, from_leader(find))
    seeds = {record.ingredients["seed"] for record in records} | set(range(to_come))
    if len(seeds) < MIN_SUBSETS:
        raise InputError(
            f"request={text!r}: bank {str(plan.bank.path)!r} holds {len(seeds)} models of random "
            f"halves of the data, trained by this recipe: expected {MIN_SUBSETS} or more; add them "
            "by python -m experiments.bank with --subsets 64, and pass that bank"
        )
    return records


def memorized(logits: list[np.ndarray], label: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Memorization scores float32 [N] of models' logits and of which images [M, N] they saw."""
    correct = np.stack([one.argmax(axis=1) == label for one in logits])
    return data.memorization(correct, seen)


def held_out_loss(logits: list[np.ndarray], label: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Mean cross-entropy float64 [N] over the models that have not seen an image.

    An image that all have seen is taken for the hardest: nothing is known of it.
    """
    losses = np.stack([_cross_entropy(one.astype(np.float64), label) for one in logits])
    unseen = (~seen).sum(axis=0)
    mean = np.where(seen, 0.0, losses).sum(axis=0) / np.maximum(unseen, 1)
    return np.where(unseen > 0, mean, losses.max())


def _cross_entropy(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    true = shifted[np.arange(len(label)), label]
    return np.log(np.exp(shifted).sum(axis=1)) - true


def _features(plan: Plan, record: Record) -> np.ndarray:
    """What a model makes of the training images before its last layer, float32 [N, D]."""
    from jax_unlearn.audit.probes.penultimate import penultimate_features

    weights = weights_of(plan.bank, record, plan.model.init(make_key(0, "initial")))
    return penultimate_features(plan.model, weights, plan.dataset.train.image)
