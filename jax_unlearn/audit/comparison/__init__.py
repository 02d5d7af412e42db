"""Rows against oracles: null bands, results, verdicts, records."""
