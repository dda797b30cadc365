from dragoman.stats import prometheus

from . import support

ZONE = (("zone", "eu"),)


def test_the_exposition_of_a_real_envoy() -> None:
    assert prometheus.render(support.metrics(), fixed=ZONE) == support.read("prometheus.txt")


def test_summaries_of_a_real_envoy() -> None:
    rendered = prometheus.render(support.metrics(), "summary", fixed=ZONE)
    assert rendered == support.read("prometheus_summary.txt")


def test_text_readouts_are_printed_only_on_request() -> None:
    metric = support.Metric("http.in.rds.r.version_text", "text", text='a"\\b\n')
    assert prometheus.render([metric]) == ""
    assert prometheus.render([metric], text_readouts=True) == (
        "# TYPE envoy_http_rds_version_text gauge\n"
        'envoy_http_rds_version_text{envoy_rds_route_config="r",'
        'envoy_http_conn_manager_prefix="in",text_value="a\\"\\\\b\\n"} 0\n'
    )


def test_names_are_made_valid() -> None:
    metric = support.Metric("runtime.a-b/c", "gauge", 1)
    assert prometheus.render([metric]) == (
        "# TYPE envoy_runtime_a_b_c gauge\nenvoy_runtime_a_b_c{} 1\n"
    )
