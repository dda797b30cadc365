"""Metrics as text: what the admin page and the sinks print, and which metrics they print.

Pure functions over `Metric` objects. Nothing here knows where the numbers come from, opens a
socket or reads a clock.
"""
