//! A scenario without a mistake, for tests that put mistakes into it.

pub(crate) const VALID: &str = r#"schema = 1
title = "t"
[gateway.a]
state = "S"
port = 18789
[gateway.b]
state = "S"
port = 18789
[process.cron]
looks_like = "cron -f"
[run]
steps = [
  { start = ["a", "b", "cron"] },
  { wait = "settled" },
]
[expect]
always = ["single-owner"]
outcomes = [{ a = "ready", b = "refused:held" }]
"#;
