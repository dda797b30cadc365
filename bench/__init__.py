"""Benchmark: CPU cost per request of Dragoman and its peers, side by side in one run.

`python -m bench` runs it; README.md tells what each figure means and how to add a work or a peer.
"""
