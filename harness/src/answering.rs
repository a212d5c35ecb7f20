//! A simulated bystander that takes the connections to its ports, one after the other.
//!
//! Nothing is carried from one connection to the next, so one that serves for ever has finitely many states.

use portcullis_os::{Descriptor, Fd, Os, Stage};
use sim::Program;

use crate::scenario::Answers;

/// Its first listener: three descriptors are open from the beginning.
const FIRST_LISTENER: i32 = 3;
/// How much of a request is read, in bytes.
const LONGEST: u32 = 4096;
/// How long it waits for a request, in milliseconds.
const PATIENCE_MS: u32 = 10_000;
/// How long one that stays silent keeps a connection, in milliseconds.
const SILENCE_MS: u32 = 3_600_000;

/// The program of one with so many listeners; `None`: it takes no connection, so it has none.
pub(crate) fn program(listeners: usize, answers: Answers) -> Option<Program> {
    if answers == Answers::NeverAccepts {
        return None;
    }
    let listening: Vec<Fd> = (FIRST_LISTENER..).take(listeners).map(Fd).collect();
    Some(Program::staged(answers.word(), (), move |os, ()| {
        let listening = listening.clone();
        async move {
            let Ok((_, stream)) = os.accept(listening).await else { return Stage::Exit(1) };
            converse(&os, &stream, answers).await;
            let _ = stream.close().await;
            Stage::Continue(())
        }
    }))
}

/// What is said before it hangs up. Whoever asks may be gone; then there is nobody to tell.
async fn converse<O: Os>(os: &O, stream: &Descriptor<O>, answers: Answers) {
    match answers {
        Answers::NeverAccepts | Answers::Closes => {}
        Answers::Nothing => {
            while os.receive(stream, LONGEST, SILENCE_MS).await.is_ok_and(|bytes| !bytes.is_empty()) {}
        }
        Answers::Http404 | Answers::Healthz200 => {
            let request = os.receive(stream, LONGEST, PATIENCE_MS).await.unwrap_or_default();
            if !request.is_empty() {
                let _ = os.send(stream, answers.reply(&request)).await;
            }
        }
    }
}
