//! Buffers that nobody uses at the moment, one for what comes in and one for what goes out. Connections of a thread take turns with
//! them: one that waits has none, and the next one finds them in the cache of the processor.

use std::cell::Cell;

/// How large the buffer for what comes in is, in bytes: a message of 64 KiB and the beginning of the next fit into it.
pub(super) const INCOMING: usize = 128 * 1024;
/// The largest buffer that is kept for what goes out, in bytes: one that grows by doubling has this much for answers of 64 KiB and
/// their heads.
const OUTGOING: usize = 160 * 1024;

thread_local! {
    static IN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static OUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer of [`INCOMING`] bytes. What is in it is from before.
pub(super) fn take_incoming() -> Vec<u8> {
    let mut buffer = IN.take();
    // Always the same length, so that no other connection changes what is read at once.
    buffer.resize(INCOMING, 0);
    buffer
}

/// It is not needed any more.
pub(super) fn give_incoming(buffer: Vec<u8>) {
    if buffer.len() == INCOMING {
        IN.set(buffer);
    }
}

/// An empty buffer.
pub(super) fn take_outgoing() -> Vec<u8> {
    OUT.take()
}

/// Nothing is in it any more.
pub(super) fn give_outgoing(buffer: Vec<u8>) {
    if buffer.is_empty() && (1..=OUTGOING).contains(&buffer.capacity()) {
        OUT.set(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::{INCOMING, OUTGOING, give_incoming, give_outgoing, take_incoming, take_outgoing};

    #[test]
    fn a_buffer_is_used_again_unless_it_is_of_another_size() {
        let buffer = take_incoming();
        let place = buffer.as_ptr();
        give_incoming(buffer);
        give_incoming(Vec::new());
        give_incoming(vec![0; INCOMING + 1]);
        let again = take_incoming();
        assert_eq!((again.as_ptr(), again.len()), (place, INCOMING));

        let buffer = Vec::with_capacity(OUTGOING);
        let place = buffer.as_ptr();
        give_outgoing(buffer);
        give_outgoing(Vec::new());
        give_outgoing(Vec::with_capacity(2 * OUTGOING));
        give_outgoing(b"something".to_vec());
        let again = take_outgoing();
        assert_eq!((again.as_ptr(), take_outgoing().capacity()), (place, 0));
    }
}
