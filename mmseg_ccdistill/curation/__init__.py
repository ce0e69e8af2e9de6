"""Data sets before training: fetch and lay out (``prepare``), and look for faults (``audit``)."""
