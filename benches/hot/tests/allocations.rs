//! A message costs no more allocations than are allowed here, once its connection is warm.

#![expect(clippy::expect_used, reason = "a test that cannot set its stage has failed")]

use allocation_counter::measure;
use hot::Case;

/// The allocations of so many rounds, and the messages in them.
fn counted(name: &str) -> (u64, u64) {
    const ROUNDS: u64 = 256;
    let mut ready = Case::named(name).expect("a case").ready();
    ready.run(ROUNDS);
    let counted = measure(|| ready.run(ROUNDS));
    (counted.count_total, ready.messages() * ROUNDS)
}

#[test]
fn a_message_costs_no_more_allocations_than_this() {
    let mut broken = Vec::new();
    // In hundredths of an allocation a message. What causes an event costs some two hundred, no delivery of it any, and a
    // client that does not read for a while some ten, until it has caught up.
    for (name, most) in [
        ("echo-256-16", 0),
        ("echo-256-1", 0),
        ("rpc-256-16", 0),
        ("rpc-256-1", 0),
        ("broadcast-256-1-100", 206),
        ("broadcast-256-8-100", 206),
        ("queue-256-64-100", 226),
    ] {
        let (allocations, messages) = counted(name);
        if allocations * 100 > most * messages {
            broken
                .push(format!("{name}: {allocations} for {messages} messages, allowed are {most} a hundred"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
