//! What is no format: `wrong` is refused by a real Envoy too, `unsupported` by this proxy only.

use dragoman_format::Format;
use dragoman_types::Faults;

fn faults(text: &str) -> Vec<(&'static str, String)> {
    let mut faults = Faults::new();
    faults.field("text_format", |faults| Format::parse(text, faults));
    faults.into_vec().into_iter().map(|fault| (fault.code, fault.message)).collect()
}

#[test]
fn what_envoy_refuses_is_refused() {
    let wrong = "% %%% a%b %FOO% %REQ% %REQ()% %REQ(a% %REQ(a) %REQ(a):% %REQ(a):x% %REQ(a):-1% \
        %REQ(a):99999999999999999999% %REQ(a?b?c)% %DURATION():3% %DURATION(x)% %DURATION:3% \
        %PROTOCOL:3% %START_TIME(%n)% %START_TIME(%Y):3% %ENVIRONMENT% %HOSTNAME(1)% %REQ(a)b% \
        %req(a)% %REQ(:path):3:4% %COMMON_DURATION% %COMMON_DURATION(DS_RX_BEG:DS_RX_END:s)% \
        %GRPC_STATUS(X)% %GRPC_STATUS():3% %PATH(X)% %PATH(WQ:X)% %QUERY_PARAM% %QUERY_PARAMS(X)% \
        %UPSTREAM_HOST(x)% %DOWNSTREAM_REMOTE_ADDRESS(8)% %UNIQUE_ID:3% %REQ(A:B)% %TRACE_ID(x)% \
        %DYNAMIC_METADATA% %FILTER_STATE% %FILTER_STATE(a:b:c)% %METADATA(X:y)% %REQ(a)%% \
        %REQUESTED_SERVER_NAME(X)% %REQUESTED_SERVER_NAME(HOST_FIRST:X)% %START_TIME(%Y%):% \
        %REQ(\u{e9})% %COALESCE({\"operators\":[]})% %COALESCE({})% %COALESCE(x)% %START_TIME(%5n)% \
        %COALESCE({\"operators\":[\"NOPE\"]})% %COALESCE({\"operators\":[\"%PROTOCOL%\"]})% \
        %COALESCE({\"operators\":[{\"command\":\"REQ\"}]})% %REQ(a):3 %REQ(x(y))% %REQ(x)y)% \
        %REQUEST_TRAILER(x)% %SEQUENCE_ID% %UPSTREAM_LOCAL_SUBJECT%";
    for text in wrong.split(' ') {
        assert_eq!(faults(text).len(), 1, "{text}");
    }
    for text in ["%REQ(a b)%", "% REQ(a)%", "%REQ(a) %", "%REQ(a\nb)%", "%START_TIME(\n)%"] {
        assert_eq!(faults(text).len(), 1, "{text:?}");
    }
}

#[test]
fn what_envoy_takes_is_taken() {
    let right = "%% %REQ(a):0% %REQ(a?)% %REQ(?b)% %DURATION()% %START_TIME()% %START_TIME(a)b)% \
        %ENVIRONMENT(a)% %REQ(a%b)% %COMMON_DURATION(A:B:ms)% %PATH(WQ:ORIG:Z)% %PATH():3% %PATH:3% \
        %QUERY_PARAMS(ORIG):3% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(x)% %START_TIME(%%)% \
        %RESPONSE_CODE_DETAILS(x)% %DYNAMIC_METADATA(a:b):3% %START_TIME(%Y%)% \
        %RESP(a):3%x%TRAILER(b?c):5% %COALESCE({\"operators\":[\"PROTOCOL\"]}):3% \
        %UPSTREAM_PEER_CERT_V_END(%Y)% %DOWNSTREAM_LOCAL_EMAIL_SAN%";
    for text in right.split_whitespace() {
        assert_eq!(faults(text), [], "{text}");
    }
}

#[test]
fn faults_name_the_operator_its_place_and_the_nearest_name() {
    assert_eq!(
        faults("[%RESPONSE_FLAG%] %CEL(x)%"),
        [
            (
                "unknown-operator",
                "%RESPONSE_FLAG% at position 1: there is no such operator; did you mean \
                 %RESPONSE_FLAGS%?"
                    .to_owned()
            ),
            (
                "unsupported-operator",
                "%CEL% at position 18: CEL expressions aren't built in".to_owned()
            ),
        ]
    );
    assert_eq!(faults("100% off")[0].0, "bad-format");
}

#[test]
fn what_only_this_proxy_lacks_is_refused_too() {
    let unsupported = "%METADATA(ROUTE:a)% %UPSTREAM_METADATA(a)% %START_TIME(%-d)% \
        %QUERY_PARAMS(DECODED)% %COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:us)% \
        %UPSTREAM_HOSTS_ATTEMPTED% %DOWNSTREAM_CX_RTT% %START_TIME(%10f)%";
    for text in unsupported.split_whitespace() {
        assert_eq!(faults(text).len(), 1, "{text}");
    }
}
