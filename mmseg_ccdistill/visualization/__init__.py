"""Pictures: panels of inputs, ground truth and predictions."""
