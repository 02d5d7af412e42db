"""The choices that the numbers of an audit depend on."""

import dataclasses

TERMS = ("RA", "FA", "TA")
"""The terms that every paper's average gap shares."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditProtocol:
    """The choices that numbers depend on; a table states them.

    Attributes:
      terms: what the average gap and ToW are made of.
      attack_terms: what the gap with an attack is made of.
      nonmembers: 'test', or those of 'remaining' or 'forgotten' classes: the test images that
        attacks take for non-members.
      svc_max_examples: examples of each side for the SVC, at most; None for no limit.
      klom_variant: 'definition', or 'released' to compare with tables made by the released code.
    """

    terms: tuple[str, ...] = TERMS
    attack_terms: tuple[str, ...] = (*TERMS, "MIA_entropy_member")
    nonmembers: str = "test"
    svc_max_examples: int | None = 2000
    klom_variant: str = "definition"
