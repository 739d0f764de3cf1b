"""The sparse hetero-associative memory of the paper, and the memories it is compared with.

Nothing is imported here: `patterns`, `integers`, `theory`, `export` and the program
``python -m model.memory`` need numpy alone; `sparse`, `classical`, `capacity` and `experiment`
need torch. What is measured, and the theory, stand in ``docs/memory.md``.
"""
