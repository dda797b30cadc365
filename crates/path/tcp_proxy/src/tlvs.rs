//! TLVs that hosts are told besides the client's own (`proxy_protocol_tlvs`).

use dragoman_proto::pb::envoy::extensions::filters::network::tcp_proxy::v3::ProxyProtocolTlvMergePolicy as Policy;
use dragoman_proto::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use dragoman_proto::tlv::{self, Tlv};
use dragoman_types::Faults;

#[derive(Debug)]
pub struct Tlvs {
    own: Vec<Tlv>,
    policy: Policy,
}

impl Tlvs {
    pub(crate) fn compile(message: &TcpProxy, faults: &mut Faults) -> Option<Tlvs> {
        let own = tlv::compile(&message.proxy_protocol_tlvs, "proxy_protocol_tlvs", faults);
        let policy = message.proxy_protocol_tlv_merge_policy();
        (!own.is_empty()).then_some(Tlvs { own, policy })
    }

    /// All of one connection; `client`: those of its client's header, if it had one.
    pub fn merged(&self, client: Option<&[Tlv]>) -> Vec<Tlv> {
        let Some(client) = client else { return self.own.clone() };
        let is_own = |kind: u8| self.own.iter().any(|(own, _)| *own == kind);
        match self.policy {
            Policy::AddIfAbsent => client.to_vec(),
            Policy::OverwriteByTypeIfExistsOrAdd => {
                let others = client.iter().filter(|(kind, _)| !is_own(*kind));
                self.own.iter().chain(others).cloned().collect()
            }
            Policy::AppendIfExistsOrAdd => client.iter().chain(&self.own).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_say_what_becomes_of_the_clients() {
        let of = |list: &[(u8, &str)]| -> Vec<Tlv> {
            list.iter().map(|(kind, value)| (*kind, value.as_bytes().into())).collect()
        };
        let client = of(&[(1, "client's"), (2, "kept")]);
        for (policy, wanted) in [
            (Policy::AddIfAbsent, of(&[(1, "client's"), (2, "kept")])),
            (Policy::OverwriteByTypeIfExistsOrAdd, of(&[(1, "own"), (3, "new"), (2, "kept")])),
            (
                Policy::AppendIfExistsOrAdd,
                of(&[(1, "client's"), (2, "kept"), (1, "own"), (3, "new")]),
            ),
        ] {
            let tlvs = Tlvs { own: of(&[(1, "own"), (3, "new")]), policy };
            assert_eq!(tlvs.merged(Some(&client)), wanted);
            assert_eq!(tlvs.merged(None), tlvs.own);
        }
    }
}
