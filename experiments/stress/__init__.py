"""Break a run off again and again: `python -m experiments.stress`.

A bank of a small experiment on digits is filled, broken off by a signal at a random moment, and
filled on, until that has happened as often as asked for. Checked each time: the next start goes on
from the newest checkpoint and keeps every model that was finished. A bank that is full is compared
with one that was left alone: weights, what the models say and how they got there must be equal bit
for bit. Then another one begins.

It takes some minutes; exit code 1 and one line tell what was lost.
"""
