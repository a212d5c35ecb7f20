//! One failure on the page: its steps in lanes, a slider over them, the machine after each step, and how to replay it.

use maud::{Markup, html};

use super::super::event::{CaseEnd, Failure};
use super::super::picture::{By, Lane, LaneRole, Machine, Picture, StaleRead, Step};
use super::{copy, head};

/// A failure. `number` counts them from 1 and makes the ids on the page unique.
pub(super) fn article(number: usize, end: &CaseEnd) -> Markup {
    let Some(failure) = &end.failure else { return html! {} };
    html! {
        article.failure id={ "failure-" (number) } data-failure=(number) {
            (head(number, end))
            @if let Some(picture) = &failure.execution { (execution(number, picture)) }
            (lanes_as_text(number, failure))
            @if let Some(token) = &failure.replay {
                p.replay { code id={ "replay-" (number) } { "portcullis replay " (token) } }
                p { (copy("replay command", &format!("replay-{number}"))) }
            }
        }
    }
}

/// The same lanes as in a terminal: to be read without the rest, and pasted elsewhere.
fn lanes_as_text(number: usize, failure: &Failure) -> Markup {
    if failure.lanes.is_empty() {
        return html! {};
    }
    html! {
        details open[failure.execution.is_none()] {
            summary { "As text" }
            pre id={ "lanes-" (number) } { (failure.lanes.join("\n")) }
            (copy("lanes", &format!("lanes-{number}")))
        }
    }
}

fn execution(number: usize, picture: &Picture) -> Markup {
    let last = picture.steps.len().saturating_sub(1);
    html! {
        @if let Some(stale) = &picture.stale_read { (stale_sentence(stale)) }
        p.controls.scripted hidden {
            button type="button" data-move="-1" aria-label="previous step" { "◀" }
            input.slider type="range" min="0" max=(last) value=(last) aria-label={ "step of failure " (number) };
            button type="button" data-move="1" aria-label="next step" { "▶" }
            output.at {}
            label { input.brief type="checkbox" checked; " only steps that others can notice" }
        }
        div.execution {
            div.scroll { (steps(number, picture)) }
            div.machines aria-live="polite" { (machines(number, picture)) }
        }
    }
}

fn stale_sentence(stale: &StaleRead) -> Markup {
    let StaleRead { actor, object, looked, saw, changer, changed, acted } = stale;
    html! {
        p.stale {
            "Stale read: step " (acted) " acts on what " b { (actor) } " saw of " code { (object) } " at step " (looked)
            " (" (saw) "); " b { (changer) } " changed it at step " (changed) "."
        }
    }
}

/// The steps as a table: one column a process, bars for owners, a bracket from the look to the act.
fn steps(number: usize, picture: &Picture) -> Markup {
    let Picture { lanes, left_out, steps, stale_read, repeats_from } = picture;
    html! {
        table.steps style={ "--lanes:" (lanes.len()) } {
            thead { tr {
                th.number { "step" }
                th.gutter aria-label="stale read" {}
                @for lane in lanes { th class={ "lane " (role(lane)) } { (lane.name) } }
                th { "owners" }
            } }
            tbody {
                @if *left_out > 0 {
                    tr.note { td colspan=(lanes.len() + 3) { (left_out) " earlier steps are left out" } }
                }
                @for (at, step) in steps.iter().enumerate() {
                    @if *repeats_from == Some(at) {
                        tr.note { td colspan=(lanes.len() + 3) { "from here on the steps repeat for ever" } }
                    }
                    (row(number, at, step, lanes, stale_read.as_ref()))
                }
            }
        }
    }
}

const fn role(lane: &Lane) -> &'static str {
    match lane.role {
        LaneRole::Gateway => "gateway",
        LaneRole::Bystander => "bystander",
        LaneRole::Child => "child",
    }
}

fn row(number: usize, at: usize, step: &Step, lanes: &[Lane], stale: Option<&StaleRead>) -> Markup {
    let mut classes = vec!["step"];
    let (bracket, mark) = bracket(step, stale);
    // What a sentence speaks of is always to be seen.
    if !step.noticeable && mark.is_empty() && !step.preemption {
        classes.push("minor");
    }
    if step.owners.len() > 1 {
        classes.push("broken");
    }
    match step.by {
        By::Process | By::Supervisor => {}
        By::Script => classes.push("script"),
        By::Fault => classes.push("fault"),
    }
    html! {
        tr class=(classes.join(" ")) id={ "step-" (number) "-" (at) } data-step=(at) {
            td.number {
                @if step.preemption { span.preemption title="a preemption: who could have gone on had to wait" { "≫ " } }
                @match step.number { Some(number) => { (number) } None => { "–" } }
            }
            td class={ "gutter " (bracket) } { (mark) }
            @match step.lane {
                Some(lane) => {
                    @for (place, _) in lanes.iter().enumerate() {
                        td class={ "lane" @if step.owners.contains(&place) { " owns" } @if place == lane { " acts" } } {
                            @if place == lane { span.text { (step.text) } }
                        }
                    }
                }
                None => {
                    @for (place, _) in lanes.iter().enumerate() {
                        td class={ "lane whole" @if step.owners.contains(&place) { " owns" } } {
                            @if place == 0 { span.text { (step.text) } }
                        }
                    }
                }
            }
            td.owners {
                @if step.owners.is_empty() { span.none { "–" } }
                @for owner in &step.owners { @if let Some(lane) = lanes.get(*owner) { span.owner { (lane.name) } " " } }
            }
        }
    }
}

/// The part of the bracket that a row has, and its mark: where it was looked, changed and acted.
fn bracket(step: &Step, stale: Option<&StaleRead>) -> (&'static str, &'static str) {
    let (Some(number), Some(stale)) = (step.number, stale) else { return ("", "") };
    if number == stale.looked {
        ("looked", "look")
    } else if number == stale.acted {
        ("acted", "act")
    } else if number == stale.changed {
        ("between changed", "change")
    } else if (stale.looked..stale.acted).contains(&number) {
        ("between", "")
    } else {
        ("", "")
    }
}

/// The machine after each step. Where nothing has changed, the one before is shown.
fn machines(number: usize, picture: &Picture) -> Markup {
    let mut before: Option<&Machine> = None;
    html! {
        @for (at, step) in picture.steps.iter().enumerate() {
            @if let Some(machine) = &step.machine {
                section.machine id={ "machine-" (number) "-" (at) } data-from=(at) {
                    h4 { @match step.number { Some(number) => { "Since step " (number) } None => { "In the setup, since" } }
                        ": " span.text { (step.text) } }
                    (machine_after(machine, before, &picture.lanes))
                }
                ({ before = Some(machine); html! {} })
            }
        }
    }
}

fn machine_after(machine: &Machine, before: Option<&Machine>, lanes: &[Lane]) -> Markup {
    let Machine { processes, names, locks, ports } = machine;
    let is_old = |was_there: &dyn Fn(&Machine) -> bool| before.is_none_or(was_there);
    let class = |old: bool| if old { "" } else { "changed" };
    html! {
        h5 { "Processes" }
        table {
            @for (at, (lane, process)) in lanes.iter().zip(processes).enumerate() {
                tr class=(class(is_old(&|old| old.processes.get(at) == Some(process)))) {
                    th { (lane.name) }
                    td { @if let Some(pid) = process.pid { "pid " (pid) } }
                    td { (process.life) }
                    td { (process.says) }
                }
            }
        }
        h5 { "Locks" }
        @if locks.is_empty() { p.none { "none" } }
        table { @for lock in locks {
            tr class=(class(is_old(&|old| old.locks.contains(lock)))) {
                th { (lock.path) }
                td { @if lock.shared { "shared by " } @else { "held by " } b { (lock.by.join(", ")) } }
            }
        } }
        h5 { "Ports and abstract names" }
        @if ports.is_empty() { p.none { "none" } }
        table { @for port in ports {
            tr class=(class(is_old(&|old| old.ports.contains(port)))) { th { (port.what) } td { b { (port.by) } } }
        } }
        h5 { "Names of files" }
        @if names.is_empty() { p.none { "none" } }
        table { @for name in names {
            tr class=(class(is_old(&|old| old.names.contains(name)))) {
                th { (name.path) } td.inode { "inode " (name.inode) } td { code { (name.holds) } }
            }
        } }
    }
}
