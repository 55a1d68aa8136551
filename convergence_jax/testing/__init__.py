"""Laws, Hypothesis strategies and oracles, for those who add a statistic as much as for our own tests.

A statistic of one's own is held to the law by three lines::

    @given(sample=strategies.samples())
    def test_my_statistic_keeps_the_law(sample):
        laws.check_laws(MyStatistic(), sample)

:mod:`~convergence_jax.testing.laws` has every law as a function of a statistic and a sample,
:mod:`~convergence_jax.testing.strategies` draws samples of one fixed shape,
:mod:`~convergence_jax.testing.oracles` computes answers by other means and shares no code with the library.
"""
