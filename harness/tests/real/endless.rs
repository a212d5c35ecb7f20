//! A case that never ends, for tests of what is left when a run is ended.

/// A gateway that is never gone, because it is paused, beside a bystander.
pub(crate) const ENDLESS: &str = r#"
schema = 1
title  = "This never ends"
[gateway.a]
state = "S"
port  = 18789
[process.p]
looks_like = "/usr/sbin/MARK -f"
[run]
setup = [{ start = ["a", "p"] }, { wait = "a.ready" }]
steps = [{ pause = "a" }, { stop = "a" }, { wait = "a.gone" }]
[expect]
always   = ["no-collateral"]
outcomes = [{ p = "running" }]
"#;
