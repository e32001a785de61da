"""One file for each metric: a function of its options that makes a Metric, see seewhy.measure."""
