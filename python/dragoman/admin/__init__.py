"""The admin page: Envoy's paths, methods and answers, and a few of Dragoman's own.

A page is a plain function from (proxy, query) to an answer; `commands.COMMANDS` is the list of
them. Only `app` and `serve` know about HTTP. The process behind the pages is seen through the
protocols in `face`, so this package knows neither the server nor the command line.
"""
