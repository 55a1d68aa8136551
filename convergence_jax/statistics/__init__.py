"""The law and one file per statistic: states of integers whose merge is exact in bits."""
