"""The default estimate: what it says of observers, when it keeps silent, and how it does on real crowds."""

import jax
import numpy as np
import pytest
from crowds import CROWD, SETS, colluding, made, real, with_gold

from convergence_jax.consensus import majority, reliability, scoring
from convergence_jax.consensus.calibration import cooled
from convergence_jax.consensus.labels import Labels
from convergence_jax.consensus.observers import others_say

LABELS, TRUTH, _ = made(
    np.random.default_rng(21), items=400, workers=40, classes=2, per_item=16, right=(0.6, 0.95)
)


def _clear_and_wrong(found, labels, truth):
    clear = reliability.verdicts(found, labels) == "clear"
    asked = (truth >= 0) & ~labels.known
    return float((clear & asked & (found.log_posterior.argmax(1) != truth)).sum() / asked.sum())


def test_the_order_of_the_rows_leaves_no_trace_in_anything():
    order = np.random.default_rng(2).permutation(len(LABELS.item))
    other = Labels(LABELS.item[order], LABELS.worker[order], LABELS.label[order], 400, 40, 2)
    a, b = reliability.estimate(LABELS), reliability.estimate(other)
    assert a.log_posterior.tobytes() == b.log_posterior.tobytes()
    assert a.observers.suspicion.tobytes() == b.observers.suspicion.tobytes()
    assert (a.reason, a.observers.reason) == (b.reason, b.observers.reason)


def test_a_good_crowd_is_identifiable_and_clear_items_are_right():
    found = reliability.estimate(LABELS)
    verdicts = reliability.verdicts(found, LABELS, alpha=0.05)
    clear = verdicts == "clear"
    wrong = (found.log_posterior.argmax(1) != TRUTH)[clear]
    assert found.identifiable
    assert clear.mean() > 0.2
    # At most alpha of them, and two standard errors of a share of so many.
    assert wrong.mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / clear.sum())


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("everything", [True, False], ids=["all items", "as many as the median"])
def test_a_third_that_collude_are_never_believed(classes, everything):
    rng = np.random.default_rng(5)
    labels, truth, _ = made(rng, items=300, workers=30, classes=classes, right=(0.6, 0.9))
    crowd = colluding(rng, labels, truth, everything)
    found = reliability.estimate(crowd)
    assert _clear_and_wrong(found, crowd, truth) == 0.0
    if everything:
        assert not found.identifiable
        assert (reliability.verdicts(found, crowd) == "undetermined").all()


@pytest.mark.parametrize("everything", [True, False], ids=["all items", "as many as the median"])
def test_a_few_gold_items_settle_who_colludes(everything):
    rng = np.random.default_rng(6)
    labels, truth, _ = made(rng, items=300, workers=30, classes=2, right=(0.6, 0.9))
    crowd = with_gold(rng, colluding(rng, labels, truth, everything), truth)
    found = reliability.estimate(crowd)
    asked = np.where(crowd.known, -1, truth)
    clean = scoring.accuracy(majority.estimate(labels).log_posterior, asked)
    assert found.identifiable
    assert scoring.accuracy(found.log_posterior, asked) >= clean - 0.02
    bloc = [w for w in range(crowd.workers) if "bloc of 15 workers" in found.observers.reason[w]]
    assert bloc == list(range(30, 45))
    assert set(found.observers.order[:15]) == set(bloc)


def test_gold_that_the_crowd_cannot_name_keeps_it_silent():
    gold = np.full(400, -1)
    gold[:100] = np.random.default_rng(9).permutation(TRUTH[:100])
    crowd = Labels(LABELS.item, LABELS.worker, LABELS.label, 400, 40, 2, gold)
    found = reliability.estimate(crowd)
    assert not found.identifiable
    assert "of 100 gold items right" in found.reason


def test_labels_that_say_nothing_are_undetermined():
    rng = np.random.default_rng(10)
    noise = Labels(LABELS.item, LABELS.worker, rng.integers(0, 2, len(LABELS.item)), 400, 40, 2)
    found = reliability.estimate(noise)
    assert (reliability.verdicts(found, noise) == "clear").mean() < 0.02


def test_a_label_that_nearly_everybody_gives_to_everything_is_not_believed():
    rng = np.random.default_rng(14)
    same = Labels(LABELS.item, LABELS.worker, np.zeros_like(LABELS.item), 400, 40, 2)
    found = reliability.estimate(same)
    assert (found.identifiable, found.reason) == (False, "all observers answer one label whatever the item")
    slips = (rng.random(len(LABELS.item)) < 0.02).astype(int)
    crowd = Labels(LABELS.item, LABELS.worker, slips, 400, 40, 2)
    found = reliability.estimate(crowd)
    assert "agree no more than by chance" in found.reason
    assert (reliability.verdicts(found, crowd) == "undetermined").all()


def test_who_is_inverted_and_who_answers_one_label_is_found():
    rng = np.random.default_rng(12)
    labels, truth, _ = made(rng, items=400, workers=40, classes=2, right=(0.7, 0.95), inverted=2)
    label = labels.label.copy()
    label[labels.worker == 39] = 1
    crowd = Labels(labels.item, labels.worker, label, 400, 40, 2)
    found = reliability.estimate(crowd)
    reasons = found.observers.reason
    assert set(found.observers.order[:3]) == {0, 1, 39}
    assert reasons[0].startswith("inverted")
    assert reasons[1].startswith("inverted")
    assert reasons[39] == "answers one label (1) whatever the item"
    assert found.identifiable
    assert scoring.accuracy(found.log_posterior, truth) > 0.97


def test_what_the_others_say_leaves_out_the_own_label():
    tables = np.array([[[0.8, 0.2], [0.3, 0.7]], [[0.6, 0.4], [0.1, 0.9]]])
    labels = Labels([0, 0, 1], [0, 1, 0], [1, 0, 1], 2, 2, 2)
    odds = np.log([0.5, 0.5]) + np.array([np.log([0.2, 0.7]) + np.log([0.6, 0.1]), np.log([0.2, 0.7])])
    found = others_say(labels, odds - np.log(np.exp(odds).sum(1, keepdims=True)), tables)
    alone = np.array([[0.6 / 0.7, 0.1 / 0.7], [0.2 / 0.9, 0.7 / 0.9], [0.5, 0.5]])
    assert np.abs(found - alone).max() <= 8 * np.finfo(float).eps


def test_suspicion_does_not_depend_on_the_names_of_the_workers():
    order = np.random.default_rng(13).permutation(40)
    renamed = Labels(LABELS.item, np.argsort(order)[LABELS.worker], LABELS.label, 400, 40, 2)
    a, b = reliability.estimate(LABELS), reliability.estimate(renamed)
    np.testing.assert_allclose(
        a.observers.suspicion[order], b.observers.suspicion, atol=1e-9
    )  # order of sums
    np.testing.assert_allclose(a.log_posterior, b.log_posterior, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_cooling_keeps_the_likeliest_class_and_never_makes_it_surer(classes):
    rng = np.random.default_rng(classes)
    score = 4 * rng.normal(size=(2000, classes))
    score[:5, 1:] = -np.inf  # known truth
    logs = score - np.log(np.exp(score).sum(1, keepdims=True))
    cool = cooled(logs, rng.uniform(1, 9, 2000))
    assert np.abs(np.exp(cool).sum(1) - 1).max() <= 64 * np.finfo(float).eps
    assert (cool.argmax(1) == logs.argmax(1)).all()
    assert (cool.max(1) <= logs.max(1) + 64 * np.finfo(float).eps).all()
    assert (cool[:5, 0] == 0).all()


def test_alpha_is_a_share():
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        reliability.verdicts(reliability.estimate(LABELS), LABELS, alpha=0.0)


def test_items_and_workers_without_labels_are_answered_with_what_is_known():
    labels = Labels([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1], 4, 3, 2)
    found = reliability.estimate(labels)
    assert np.isfinite(found.log_posterior).all()
    assert found.observers.reason[2] == "gave no label"
    assert (found.posterior[2] == found.posterior[3]).all()
    empty = Labels(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int), 2, 1, 2)
    assert reliability.estimate(empty).reason == "there are no labels"


@pytest.fixture(scope="module")
def crowds(require):
    require("shared", CROWD.exists(), "the crowd labels are not beside this checkout")
    names = [
        name for name in SETS if name not in ("trec", "adult", "sp", "zencrowd_in")
    ]  # large: in the experiment
    return {name: real(name) for name in names}


def test_real_crowds_are_answered_as_well_and_as_surely_as_measured(crowds):
    accuracy, loss, votes, error = [], [], [], []
    for labels, truth in crowds.values():
        found = reliability.estimate(labels)
        assert found.identifiable
        accuracy.append(scoring.accuracy(found.log_posterior, truth))
        loss.append(scoring.log_loss(found.log_posterior, truth))
        votes.append(scoring.log_loss(majority.estimate(labels).log_posterior, truth))
        error.append(
            scoring.calibration_error(jax.random.key(0), found.log_posterior, truth, resamples=0).value
        )
    assert np.mean(accuracy) >= 0.843
    assert np.mean(loss) <= 0.51 < 1.0 < np.mean(votes)
    assert np.mean(error) <= 0.075


@pytest.mark.parametrize("name", ["bluebird", "rte", "sentiment"])
def test_real_crowds_with_a_third_of_colluders_are_undetermined_or_right(crowds, name):
    labels, truth = crowds[name]
    crowd = colluding(np.random.default_rng(0), labels, truth)
    found = reliability.estimate(crowd)
    assert _clear_and_wrong(found, crowd, truth) == 0.0
    golden = with_gold(np.random.default_rng(1), crowd, truth)
    asked = np.where(golden.known, -1, truth)
    clean = scoring.accuracy(majority.estimate(labels).log_posterior, asked)
    assert scoring.accuracy(reliability.estimate(golden).log_posterior, asked) >= clean - 0.02
