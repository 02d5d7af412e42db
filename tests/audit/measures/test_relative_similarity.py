import numpy as np
import pytest
from scipy.stats import kstest, norm

from jax_unlearn.audit import AuditProtocol, relative_similarity
from jax_unlearn.audit.measures.measure import Evidence
from jax_unlearn.audit.measures.relative_similarity import RELATIVE_SIMILARITY
from jax_unlearn.core import InputError


def draw(seed, shift=(0.0, 0.0, 0.0), n=60):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 2)) + centre for centre in shift]


def published(x, y, z, bandwidth):
    """Difference and statistic for independent samples, by the formulas of the paper's appendix."""

    def kernel(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * bandwidth**2))

    n = len(x)
    yy, zz, xy, xz = kernel(y, y), kernel(z, z), kernel(x, y), kernel(x, z)
    np.fill_diagonal(yy, 0), np.fill_diagonal(zz, 0)
    means = yy.sum() / (n * (n - 1)), zz.sum() / (n * (n - 1)), xy.mean(), xz.mean()
    u_yy, u_zz, u_xy, u_xz = means
    first = (
        (yy @ yy).sum() / n**3 - u_yy**2
        + (xy.T @ xy).sum() / n**3 - u_xy**2
        + (xy @ xy.T).sum() / n**3 - u_xy**2
        + (zz @ zz).sum() / n**3 - u_zz**2
        + (xz @ xz.T).sum() / n**3 - u_xz**2
        + (xz.T @ xz).sum() / n**3 - u_xz**2
        - 2 * ((yy @ xy.T).sum() / n**3 - u_yy * u_xy)
        - 2 * ((xy.T @ xz).sum() / n**3 - u_xy * u_xz)
        - 2 * ((zz @ xz.T).sum() / n**3 - u_zz * u_xz)
    )  # fmt: skip
    difference = u_yy - 2 * u_xy - u_zz + 2 * u_xz
    statistic = difference / np.sqrt(4 * (n - 2) / (n * (n - 1)) * first)
    return difference, statistic


def test_it_agrees_with_the_published_test_where_samples_are_independent():
    found, expected = [], []
    for seed in range(20):
        x, y, z = draw(seed, (0.0, 0.7, 1.0), n=400)
        result = relative_similarity(x, y, z, bandwidth=1.0)
        difference, statistic = published(x, y, z, 1.0)
        assert result.to_oracle - result.to_original == pytest.approx(difference, abs=4e-3)
        assert result.p_value == pytest.approx(norm.sf(result.statistic), abs=1e-12)
        found.append(result.statistic), expected.append(statistic)
    # One example's own outputs, and covariances that are 0 for independent samples, differ.
    np.testing.assert_allclose(found, expected, atol=0.6)
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=0.15)


def test_halfway_between_the_statistic_is_standard_normal():
    # Oracle and original lie on either side of the model, as far: the null hypothesis' edge.
    for paired in (0.0, 0.8):
        found = []
        for seed in range(300):
            x, y, z = draw(seed, n=50)
            y, z = y + paired * x + [1.0, 0], z + paired * x - [1.0, 0]
            found.append(relative_similarity(x, y, z).statistic)
        assert kstest(found, "norm").pvalue > 0.01
        assert np.mean(np.array(found) > norm.isf(0.05)) == pytest.approx(0.05, abs=0.035)


def test_it_says_which_of_two_a_model_resembles():
    x, y, z = draw(0, (0.0, 0.0, 1.5))
    near_oracle, near_original = relative_similarity(x, y, z), relative_similarity(x, z, y)
    assert near_oracle.p_value > 0.999
    assert near_original.p_value < 0.001
    assert near_original.statistic == pytest.approx(-near_oracle.statistic, rel=1e-12)
    assert near_oracle.to_oracle == pytest.approx(near_original.to_original, rel=1e-12)
    assert abs(near_oracle.to_oracle) < 0.05 < near_oracle.to_original


def test_labels_show_what_differences_between_classes_hide():
    rng = np.random.default_rng(0)
    label = np.arange(80) % 4
    centres = 40.0 * rng.normal(size=(4, 3))[label]
    x, y, z = (centres + rng.normal(size=(80, 3)) * spread for spread in (1, 1, 3))
    blind, sighted = (relative_similarity(x, y, z, label=known) for known in (None, label))
    assert sighted.statistic < -4.0 < -2.0 < blind.statistic
    assert sighted.bandwidth < blind.bandwidth / 10


def test_several_models_stand_for_their_mixture():
    x, y, z = draw(3, (0.0, 0.5, 1.0))
    one = relative_similarity(x, y, z)
    np.testing.assert_allclose(relative_similarity(x, np.stack([y, y]), z[None]), one, rtol=1e-9)
    two = relative_similarity(x, np.stack([y, z]), z, bandwidth=1.0)
    ends = [relative_similarity(x, other, z, bandwidth=1.0).to_oracle for other in (y, z)]
    assert min(ends) - 0.1 < two.to_oracle < max(ends)


def test_outputs_that_do_not_vary_or_are_not_finite_have_no_value():
    x, y, z = draw(1)
    assert np.isnan(relative_similarity(np.ones((9, 2)), np.ones((9, 2)), np.ones((9, 2)))).all()
    x[0, 0] = np.nan
    assert np.isnan(relative_similarity(x, y, z)).all()


def test_misuse_is_named():
    x, y, z = draw(2)
    with pytest.raises(InputError, match=r"model=\[60, 2\], oracle=\[59, 2\] and original=\[60"):
        relative_similarity(x, y[1:], z)
    with pytest.raises(InputError, match="N >= 4"):
        relative_similarity(x[:3], y[:3], z[:3])
    with pytest.raises(InputError, match=r"label=\[3\]: expected \[60\]"):
        relative_similarity(x, y, z, label=np.zeros(3, int))
    with pytest.raises(InputError, match="bandwidth=0"):
        relative_similarity(x, y, z, bandwidth=0)


def test_the_audit_compares_with_other_originals_and_an_oracle(simulate):
    original, oracle, model = (simulate(seed, lead=lead) for seed, lead in ((0, 8), (1, 3), (2, 3)))
    known = [
        Evidence(one, AuditProtocol(), originals=(original,)) for one in (model, original, oracle)
    ]
    forgot, did_not, _ = (RELATIVE_SIMILARITY.function(one, known[2]) for one in known)
    assert forgot < -2.0 < 2.0 < did_not
    assert np.isnan(RELATIVE_SIMILARITY.function(Evidence(model), known[2]))
