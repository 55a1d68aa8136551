"""The report: one HTML file that opens anywhere, without a network and without JavaScript."""
