"""Reports of trainings: one web page for a run, another that compares runs and seeds."""
