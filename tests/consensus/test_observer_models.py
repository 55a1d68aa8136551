"""Models of observers: what each must do whatever the crowd, and the example that was published."""

import itertools

import jax
import numpy as np
import pytest
from crowds import made, with_gold
from scipy import special

from convergence_jax.consensus import anaesthetists, dawid_skene, ebcc, ibcc, majority, one_coin
from convergence_jax.consensus.gamma import digamma
from convergence_jax.consensus.labels import Labels, from_columns

MODELS = {
    "majority": majority.estimate,
    "one coin": one_coin.estimate,
    "Dawid and Skene": dawid_skene.estimate,
    "IBCC": ibcc.estimate,
    "IBCC, learned prior": lambda labels: ibcc.estimate(labels, learn_prior=True, rounds=40),
    "EBCC": lambda labels: ebcc.estimate(labels, key=jax.random.key(1), groups=2),
}
CROWD, TRUTH, TABLES = made(np.random.default_rng(7))
GOLDEN = with_gold(np.random.default_rng(8), CROWD, TRUTH)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]


def _permuted(values, order):
    inverse = np.argsort(order)
    return inverse[values]


def test_the_order_of_the_rows_leaves_no_trace(model):
    order = np.random.default_rng(1).permutation(len(CROWD.item))
    other = Labels(
        CROWD.item[order], CROWD.worker[order], CROWD.label[order], CROWD.items, CROWD.workers, CROWD.classes
    )
    a, b = model(CROWD), model(other)
    assert a.log_posterior.tobytes() == b.log_posterior.tobytes()
    assert a.confusion.tobytes() == b.confusion.tobytes()
    assert a.bound == b.bound


def test_probabilities_and_tables_add_up_to_one(model):
    found = model(CROWD)
    # rows of logarithms whose sum is rounded once an addition, in float64
    assert np.abs(found.posterior.sum(1) - 1).max() <= 16 * np.finfo(float).eps * CROWD.classes
    assert np.abs(found.confusion.sum(2) - 1).max() <= 16 * np.finfo(float).eps * CROWD.classes
    assert abs(found.class_prior.sum() - 1) <= 16 * np.finfo(float).eps * CROWD.classes


def test_gold_items_keep_their_truth(model):
    found = model(GOLDEN)
    known = GOLDEN.known
    # one, or what adding up groups and one rounding leave of it
    assert (found.posterior[known, GOLDEN.gold[known]] >= 1.0 - 4 * np.finfo(float).eps).all()
    assert (found.posterior.argmax(1) == TRUTH).mean() >= 0.9


def test_renaming_the_classes_renames_the_answer(model):
    order = np.array([2, 0, 1])
    renamed = Labels(
        CROWD.item, CROWD.worker, _permuted(CROWD.label, order), CROWD.items, CROWD.workers, CROWD.classes
    )
    a, b = model(CROWD), model(renamed)
    if model is MODELS["EBCC"]:  # its random groups are drawn class by class, in the order of the classes
        assert (a.posterior[:, order].argmax(1) == b.posterior.argmax(1)).mean() > 0.97
    else:  # sums over classes are taken in another order: rounding, times a few hundred rounds
        np.testing.assert_allclose(a.posterior[:, order], b.posterior, atol=1e-9)


def test_renaming_the_workers_changes_no_answer(model):
    order = np.random.default_rng(3).permutation(CROWD.workers)
    renamed = Labels(
        CROWD.item, _permuted(CROWD.worker, order), CROWD.label, CROWD.items, CROWD.workers, CROWD.classes
    )
    a, b = model(CROWD), model(renamed)
    np.testing.assert_allclose(a.posterior, b.posterior, atol=1e-9)  # the same sums in another order
    np.testing.assert_allclose(a.confusion[order], b.confusion, atol=1e-9)


@pytest.mark.parametrize("name", ["one coin", "Dawid and Skene", "IBCC", "IBCC, learned prior"])
def test_tables_are_recovered_within_their_sampling_error(name):
    labels, truth, tables = made(np.random.default_rng(11), items=1500, workers=20, per_item=10)
    found = MODELS[name](labels)
    assert (found.posterior.argmax(1) == truth).mean() > 0.95
    # A row rests on about 1500 * 10 / 20 / 3 = 250 labels: standard deviation at most sqrt(.25 / 250) = .032.
    # The largest of 180 Gaussian errors is below 3.6 of them; the prior moves a cell by at most 7 / 250.
    assert np.abs(found.confusion - tables).max() < 3.6 * 0.032 + 7 / 250


@pytest.mark.parametrize("name", ["one coin", "Dawid and Skene", "IBCC", "EBCC"])
def test_the_bound_never_falls(name):
    options = {"key": jax.random.key(1)} if name == "EBCC" else {}
    module = {"one coin": one_coin, "Dawid and Skene": dawid_skene, "IBCC": ibcc, "EBCC": ebcc}[name]
    smoothing = {"smoothing": 0.0} if name == "Dawid and Skene" else {}
    bounds = [
        module.estimate(CROWD, rounds=k, tolerance=0.0, **options, **smoothing).bound
        for k in (1, 2, 3, 4, 6, 9, 15, 30)
    ]
    # A sum of some 2,400 terms of a few nats: their rounding is below 2400 * eps * 1e4.
    assert np.diff(bounds).min() > -2400 * np.finfo(float).eps * 1e4


@pytest.mark.parametrize("groups", [1, 2])
def test_the_bound_is_below_the_evidence_and_near_it(groups):
    labels = Labels([0, 0, 1, 1, 2, 3, 3], [0, 1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 0, 1, 0], 4, 2, 2)
    prior = np.ones((2, 2)) + 3 * np.eye(2)

    def log_beta(counts):
        return special.gammaln(counts).sum(-1) - special.gammaln(counts.sum(-1))

    def log_joint(component):
        """Of the labels and the component of each item, tables and shares integrated out."""
        counts = np.zeros((2, 2 * groups, 2))
        np.add.at(counts, (labels.worker, np.array(component)[labels.item], labels.label), 1.0)
        before = np.repeat(prior, groups, axis=0)
        members = np.bincount(component, minlength=2 * groups).reshape(2, groups)
        total = (log_beta(counts + before) - log_beta(before)).sum()
        total += log_beta(members.sum(1) + 1.0) - log_beta(np.ones(2))
        return (
            total + (log_beta(members + ebcc.GROUP_COUNT) - log_beta(np.full(groups, ebcc.GROUP_COUNT))).sum()
        )

    evidence = special.logsumexp([log_joint(c) for c in itertools.product(range(2 * groups), repeat=4)])
    found = ebcc.estimate(labels, key=jax.random.key(2), groups=groups, tolerance=1e-10, rounds=2000)
    assert evidence - 2.5 < found.bound <= evidence
    if groups == 1:  # nothing is left open where the truth of every item is known
        gold = Labels(labels.item, labels.worker, labels.label, 4, 2, 2, [0, 1, 0, 1])
        assert ibcc.estimate(gold).bound == pytest.approx(log_joint([0, 1, 0, 1]), abs=1e-12)


def test_the_published_estimates_of_the_anaesthetists_come_out():
    found = dawid_skene.estimate(anaesthetists.labels(), smoothing=0.0, tolerance=1e-9)
    half = 0.005 + 1e-9  # published to two decimals
    assert np.abs(found.class_prior - anaesthetists.CLASS_SHARES).max() <= half
    assert np.abs(found.confusion - np.array(anaesthetists.ERROR_RATES)).max() <= half
    assert found.bound == pytest.approx(-192.8908812, abs=5e-8)  # as another implementation prints it


def test_the_digamma_function_is_the_known_one():
    x = np.exp(np.linspace(np.log(1e-3), np.log(1e6), 4001))
    want = special.digamma(x)
    assert (np.abs(np.asarray(digamma(jax.numpy.asarray(x))) - want) <= 2e-14 * (1 + np.abs(want))).all()


def test_columns_of_text_become_codes_in_sorted_order():
    labels = from_columns(["b", "a", "b"], ["x", "x", "y"], ["no", "yes", "no"], {"a": "yes", "zz": "no"})
    assert (labels.items, labels.workers, labels.classes) == (2, 2, 2)
    assert labels.item.tolist() == [0, 1, 1]
    assert labels.label.tolist() == [1, 0, 0]
    assert labels.gold.tolist() == [1, -1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [0, 1, 2]}, "label must be in 0..1, got 0..2"),
        ({"item": [0, 1]}, "columns must have one length"),
        ({"classes": 1}, "classes must be at least 2"),
        ({"gold": [0, 2]}, "gold must be 2 codes"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change, message):
    fields = {
        "item": [0, 1, 1], "worker": [0, 0, 1], "label": [0, 1, 1], "items": 2, "workers": 2, "classes": 2
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        Labels(**{**fields, **change})


def test_codes_must_be_integers():
    with pytest.raises(TypeError, match="item must be one column of integers"):
        Labels([0.5, 1.0], [0, 1], [0, 1], 2, 2, 2)
