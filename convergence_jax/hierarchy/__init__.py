"""Trees over agents: exact states of every group, rolled up, updated in place, and merged over devices.

What the detection pipeline calls, all of it exact and independent of the order of rows:

- :func:`~convergence_jax.hierarchy.segment_moments.moments_by_segment` ``(statistic, xs, segments, num_segments)``:
  observations ``(features, rows)`` in any order into a ``MomentsState`` with leading axis ``[segments]``;
- :func:`~convergence_jax.hierarchy.leaf_sums.sums_by_segment` ``(statistic, ticks, segments, num_segments)`` and
  ``LeafSums``: counts and sums only, for millions of leaves, batch by batch;
- :func:`~convergence_jax.hierarchy.leaf_sums.mean_ticks` ``(count, sums)``: means in ticks, ties to even;
- :func:`~convergence_jax.hierarchy.reduce.merge_children` ``(state, parents, num_parents)`` and
  :func:`~convergence_jax.hierarchy.reduce.merge_upwards` ``(state, parents)``: a state of the finest groups to
  states of every coarser level;
- :mod:`convergence_jax.hierarchy.mesh`: the first two with the rows split over `devices`, same bits.
"""
