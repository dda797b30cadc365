"""The one error of this package: something that ends a measurement, told in one sentence."""


class BenchError(Exception):
    """A measurement could not be made; the text is for the person who started it."""
