//! `envoy.type.v3.FractionalPercent`, alone or with a runtime key.

use dragoman_proto::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use dragoman_proto::pb::envoy::r#type::v3 as pb;
use dragoman_types::Faults;
use pb::fractional_percent::DenominatorType;

/// A share of requests, decided by a random number that the caller gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FractionalPercent {
    numerator: u32,
    denominator: u32,
}

impl FractionalPercent {
    pub fn compile(message: &pb::FractionalPercent, faults: &mut Faults) -> FractionalPercent {
        let denominator = match DenominatorType::try_from(message.denominator) {
            Ok(DenominatorType::Hundred) => 100,
            Ok(DenominatorType::TenThousand) => 10_000,
            Ok(DenominatorType::Million) => 1_000_000,
            Err(_) => {
                let text = format!("{} is no denominator", message.denominator);
                faults.add_at("denominator", "bad-enum", text);
                100
            }
        };
        FractionalPercent { numerator: message.numerator, denominator }
    }

    /// The default value decides: no runtime layer overrides the key.
    pub fn compile_runtime(
        message: &RuntimeFractionalPercent,
        faults: &mut Faults,
    ) -> FractionalPercent {
        match &message.default_value {
            Some(value) => faults.field("default_value", |f| FractionalPercent::compile(value, f)),
            None => {
                faults.add_at("default_value", "missing", "is needed");
                FractionalPercent { numerator: 0, denominator: 100 }
            }
        }
    }

    /// Whether `random` (evenly spread over all values) falls into the share.
    pub fn holds(self, random: u64) -> bool {
        random % u64::from(self.denominator) < u64::from(self.numerator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_exact() {
        let table = [(0, 0, 0), (25, 0, 25), (100, 0, 100), (500, 0, 100), (2500, 1, 25)];
        for (numerator, denominator, percent) in table {
            let message = pb::FractionalPercent { numerator, denominator };
            let fraction = FractionalPercent::compile(&message, &mut Faults::new());
            let held = (0..1_000_000).filter(|r| fraction.holds(*r)).count();
            assert_eq!(held, percent * 10_000, "{message:?}");
        }
    }

    #[test]
    fn an_unknown_denominator_and_a_missing_default_are_faults() {
        let mut faults = Faults::new();
        let message = pb::FractionalPercent { numerator: 1, denominator: 9 };
        FractionalPercent::compile(&message, &mut faults);
        FractionalPercent::compile_runtime(&RuntimeFractionalPercent::default(), &mut faults);
        let paths: Vec<_> = faults.into_vec().into_iter().map(|f| f.path).collect();
        assert_eq!(paths, ["denominator", "default_value"]);
    }
}
