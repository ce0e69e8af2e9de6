"""The paper's experiment from the data to the tables, for people who have the two sets: docs/reproduce.md."""
