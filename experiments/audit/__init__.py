r"""Audit unlearned models against oracles: `python -m experiments.audit RUN_OR_PREDICTIONS...`.

What is audited: folders of `experiments.run`, banks of `experiments.bank`, and .npz files made
elsewhere (NAME=file[,file...], NAME=folder, NAME='pattern', or as they are). What it is compared
with: --oracles, a bank, a run's folder or .npz files. With --oracles alone everything in the bank
is audited, with a run's folder alone its own oracles serve; so do those of a folder that holds
original-SEED.npz, oracle-SEED.npz and METHOD-SEED.npz. Writes audit.json, audit.csv, report.html
and report.md.

  python -m experiments.audit --oracles runs/bank --out runs/audit
  python -m experiments.audit runs/quickstart --oracles runs/bank --requests class:3
  python -m experiments.audit mine=predictions/ --oracles runs/bank --original original-0.npz
  python -m experiments.audit predictions/  # all of them in one folder
  python -m experiments.audit 'p/natmu-*.npz' --oracles 'p/oracle-*.npz' --original p/original-0.npz
  python -m experiments.audit --check runs/audit/audit.json
  python -m experiments.audit --check audit.json --oracles bank-elsewhere more-predictions/

An .npz file holds one model's predictions, of un-augmented images in eval mode:

  forget_logits, retain_logits, test_logits  floating [N, K]  before softmax
  forget_label, retain_label, test_label     integer [N]      in 0..K-1
  forget_id, retain_id, test_id              integer [N]      the data set's, each once, any order
  test_forgotten                             bool [T]         test images of classes forgotten whole

and, for measures of a model's probe, all of these or none (jax_unlearn/audit/stored_probe.py):

  forget_features, probe_features            floating [F or P, D]  inputs of the last linear layer
  probe_id                                   integer [P]           retain examples, the same in all
  random_logits                              floating [F, K]       one untrained network, the same
  relearn_steps, relearn_losses              integer, floating [S + 1]  updates from 0, mean loss

NAME-SEED.npz says which seed a file is of. Models of one seed share their initial weights: they are
not compared with each other, a model whose logits are the original's of its seed is flagged as
no-op, and every second oracle by seed is held out. Files without a seed go by name and count as
different from all others.
"""
