import pytest

from jax_unlearn.audit import average_gap, tow
from jax_unlearn.audit.measures.gap import tow_mia
from jax_unlearn.core import InputError

ORACLE = {"RA": 100.0, "FA": 94.76, "TA": 94.26, "MIA_svc_nonmember": 12.88}
SALUN = {"RA": 99.62, "FA": 97.15, "TA": 93.93, "MIA_svc_nonmember": 14.39}


def test_the_average_gap_reproduces_a_published_row():
    # SalUn on CIFAR-10 with ResNet-18, random 10 %: 1.15 over four terms.
    assert average_gap(SALUN, ORACLE, tuple(ORACLE)) == pytest.approx(1.15, abs=0.005)


def test_the_average_gap_takes_three_accuracies_unless_told_otherwise():
    assert average_gap(SALUN, ORACLE) == pytest.approx((0.38 + 2.39 + 0.33) / 3)
    assert average_gap(SALUN, ORACLE, ("FA",)) == pytest.approx(2.39)


def test_the_oracle_has_no_gap_and_a_tug_of_war_of_one():
    assert average_gap(ORACLE, ORACLE) == 0.0
    assert tow(ORACLE, ORACLE) == 1.0


def test_gaps_are_the_same_on_either_side_of_the_oracle():
    below = {name: 2 * ORACLE[name] - value for name, value in SALUN.items()}
    assert average_gap(below, ORACLE) == pytest.approx(average_gap(SALUN, ORACLE))
    assert tow(below, ORACLE) == pytest.approx(tow(SALUN, ORACLE))


def test_tug_of_war_is_the_product_of_what_each_term_keeps():
    assert tow(SALUN, ORACLE) == pytest.approx(0.9962 * 0.9761 * 0.9967)
    assert tow(SALUN, ORACLE, ("MIA_svc_nonmember", "RA", "TA")) == pytest.approx(
        0.9849 * 0.9962 * 0.9967
    )
    assert tow({"FA": 0.0}, {"FA": 100.0}, ("FA",)) == 0.0


def test_tug_of_war_with_an_attack_puts_it_in_the_place_of_the_forget_accuracy():
    assert tow_mia(SALUN, ORACLE) == pytest.approx(0.9849 * 0.9962 * 0.9967)
    assert tow_mia({**SALUN, "FA": 0.0}, ORACLE) == tow_mia(SALUN, ORACLE) != tow(SALUN, ORACLE)
    assert tow_mia(ORACLE, ORACLE) == 1.0
    assert tow_mia(SALUN, ORACLE, attack="FA") == pytest.approx(tow(SALUN, ORACLE))
    with pytest.raises(InputError, match="terms='MIA_entropy_member'"):
        tow_mia(SALUN, ORACLE, attack="MIA_entropy_member")


@pytest.mark.parametrize("measure", [average_gap, tow])
def test_unknown_or_repeated_terms_are_refused(measure):
    with pytest.raises(InputError, match="terms='FA_test'"):
        measure(SALUN, ORACLE, ("RA", "FA_test"))
    for terms in ((), ("RA", "RA"), "RA"):
        with pytest.raises(InputError, match="expected a tuple of one or more different names"):
            measure(SALUN, ORACLE, terms)
