r"""Write reference predictions: `python -m experiments.reference --bank BANK --preset NAME`.

The file holds what a method of your own is compared with: the originals of a run, its oracles, and
the models that say which examples are hardest. `experiments.run --method FILE.py:NAME` takes them
from there, and retrains nothing. Where it ends, experiments/configs/PRESET.npz, it ships with the
package.

  python -m experiments.run --preset zoo_digits --out runs/zoo_digits
  python -m experiments.reference --bank runs/zoo_digits/bank --preset zoo_digits \
      --out experiments/configs/zoo_digits.npz
"""
