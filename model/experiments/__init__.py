"""The paper's experiments, one command each: `python -m model.experiments NAME`.

`paper` has the printed numbers, `runs` and `scales` what is trained, `store` what is, `records`
the results on disk, `session` one run of one experiment, `tables`, `plots` and `report` what comes
out; each other module is a family of experiments. See docs/experiments.md.
"""
