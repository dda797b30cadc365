"""The composition root: configuration, engine, admin page and signals put into one process.

`run.serve(options)` is the entry. Nothing below this package imports it, save the command line.
"""
