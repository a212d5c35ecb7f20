//! The reference gateway is described like any other.

/// Its target file.
pub const REFGATE: &str = include_str!("../../../targets/refgate.toml");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Capability, Target};

    #[test]
    fn the_reference_gateway_tells_its_events_and_can_whatever_a_target_can() {
        let target = Target::refgate(Path::new("/bin/refgate"));
        assert!(target.tells_events());
        assert_eq!(target.ports.span(), gateway::GATEWAY_SPAN);
        for (name, capability) in Capability::ALL {
            assert_eq!(capability.missing_in(&target), None, "{name}");
        }
    }
}
