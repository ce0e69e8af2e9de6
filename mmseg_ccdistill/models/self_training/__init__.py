"""Self-training: what a teacher that lags behind its student says about unlabelled images."""
