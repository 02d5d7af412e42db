r"""Vary hyperparameters: `python -m experiments.ablate --method NAME --over FIELD=VALUES`.

Fields of any kind, numbers, words and flags, over several seeds; settings that differ in numbers
alone share one compiled program. A table and figures show FA, RA, TA and the gap of every setting
beside the oracles and the band in which further oracles would fall:

  python -m experiments.ablate --method natmu --over delta=-0.4,-0.2,0,0.2 --over num=1,2,4
  python -m experiments.ablate --method natmu --over learning_rate=1e-4..1e-1:log \
      --over masks=gradual,patches --sample 20
  python -m experiments.ablate --study natmu --out runs/natmu_study

Without a preset it works on the quickstart's digits and class 3. A study varies one field at a
time around the setting of the preset. Originals and oracles come from the bank; finished settings
are kept in the folder, and the same command goes on after it was cut off.
"""
