"""Explanation of one decision as a self-contained HTML page: ``python -m model.explain``.

`attribution` computes what carried the class, `page` makes the page, `picture` reads the image.
Only numpy and Pillow are needed, except for an image out of a data set.
"""
