r"""Train the models that a strong audit needs: `python -m experiments.bank --preset NAME`.

For every request, `--count` originals, oracles and models unlearned by every method, as many at a
time as there are devices; what the bank holds is not trained again, and what was cut off goes on
when the same command is given again. `--probes N` also probes the first N of each, for what
predictions do not tell (relearn time, features); `--subsets N` adds models trained on random halves
of the data, for memorization scores; `--watch` records the forget accuracy of the unlearned models
after every epoch. Several processes, on several machines that share the folder, may fill one bank
at once.

  python -m experiments.bank --preset quickstart --count 128 --methods natmu salun --out runs/bank
  python -m experiments.bank --preset quickstart --count 128 --probes 16 --subsets 64
  python -m experiments.audit --oracles runs/bank
"""
