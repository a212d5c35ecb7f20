//! Reads `does`: what a process does that is no gateway.

use portcullis_os::{Port, Signal};
use sim::actors::ReadLock;

use super::diagnostics::{Diagnostics, did_you_mean_or_list};
use super::fields::{Bounds, Field, Fields, integer, text, word};
use super::format::{self, kinds};
use super::model::Deed;
use super::names::{Kind, Names};
use super::problem::Problem;

const PORTS: Bounds = Bounds::new(1, 65_535);
pub(super) const AGES: Bounds =
    Bounds { least: 0, most: 366 * 86_400_000, why: "times are in milliseconds, up to a year" };

pub(super) const SIGNALS: [(&str, Signal); 2] = [("SIGKILL", Signal::Kill), ("SIGTERM", Signal::Terminate)];

pub(super) const READ_LOCKS: [(&str, ReadLock); 3] =
    [("none", ReadLock::None), ("flock", ReadLock::Flock), ("process", ReadLock::Process)];

/// `does` of a process.
pub(super) fn deed(field: Field<'_>, names: &Names, diagnostics: &mut Diagnostics) -> Option<Deed> {
    let mut fields = Fields::of("`does`", field.key.span(), field.value, diagnostics)?;
    let (kind, at) = fields.kind("kill-by-port", diagnostics)?;
    fields.list(format::deed(kind));
    let deed = match kind {
        "kill-by-port" => {
            let port = fields.require("port", "port = 18789");
            let port = port.and_then(|field| integer("`port`", field.value, PORTS, diagnostics));
            let signal = fields.take("signal").map_or(Some(Signal::Terminate), |field| {
                word("`signal`", field.value, &SIGNALS, diagnostics)
            });
            port.and_then(Port::new).zip(signal).map(|(port, signal)| Deed::KillByPort { port, signal })
        }
        "read" => {
            let state = state(&mut fields, names, diagnostics);
            let lock = fields
                .take("lock")
                .map_or(Some(ReadLock::None), |field| word("`lock`", field.value, &READ_LOCKS, diagnostics));
            state.zip(lock).map(|(state, lock)| Deed::Read { state, lock })
        }
        "clean" => {
            let state = state(&mut fields, names, diagnostics);
            let older = fields.require("older_than_ms", "older_than_ms = 864000000");
            let older = older.and_then(|field| integer("`older_than_ms`", field.value, AGES, diagnostics));
            state.zip(older).map(|(state, older_than_ms)| Deed::Clean { state, older_than_ms })
        }
        "write" => state(&mut fields, names, diagnostics).map(|state| Deed::Write { state }),
        "edit-config" => {
            let of = fields.require("of", "of = \"a\"").and_then(|field| {
                let name = text("`of`", field.value, diagnostics)?;
                let who = names.resolve(name, field.value.span(), diagnostics)?;
                if who.kind == Kind::Bystander {
                    diagnostics.add(
                        Problem::new(format!("`{name}` has no configuration"), field.value.span())
                            .label("a bystander, not a gateway")
                            .note(who.at.clone(), "declared here"),
                    );
                    return None;
                }
                Some(who.name.clone())
            });
            of.map(|of| Deed::EditConfig { of })
        }
        _ => {
            diagnostics.add(
                Problem::new(format!("no process does `{kind}`"), at.value.span())
                    .label("not known")
                    .maybe_help(did_you_mean_or_list("what can be done is", kind, &kinds(format::DEEDS))),
            );
            return None;
        }
    };
    fields.finish(diagnostics);
    deed
}

fn state(fields: &mut Fields<'_>, names: &Names, diagnostics: &mut Diagnostics) -> Option<String> {
    let field = fields.require("state", "state = \"S\"")?;
    let label = text("`state`", field.value, diagnostics)?;
    names.resolve_state(label, field.value.span(), diagnostics)
}
