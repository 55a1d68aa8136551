"""Trees over agents: exact states of every group, rolled up, updated in place, and merged over devices.

What the detection pipeline calls, all of it exact and independent of the order of rows:

``segment_moments.moments_by_segment(statistic, xs, segments, num_segments)``
    Observations ``(features, rows)`` in any order to a ``MomentsState`` with leading axis ``[segments]``.
``leaf_sums.sums_by_segment(statistic, ticks, segments, num_segments)``, ``leaf_sums.LeafSums``
    Counts and sums only, for millions of leaves, batch by batch into a table that grows.
``leaf_sums.mean_ticks(count, sums)``
    Means in ticks, ties to even.
``reduce.merge_children(state, parents, num_parents)``, ``reduce.merge_upwards(state, parents)``
    A state of the finest groups to the states of every coarser level.
``mesh.moments_by_segment``, ``mesh.sums_by_segment``, ``mesh.SpreadLeafSums``
    The same with the rows split over devices, to the same bits.
"""
